// SPDX-License-Identifier: Apache-2.0

// Package policylog writes log lines of what resilience policies do that concerns
// more than one call.
//
//	observer := policylog.Observer(logger)
//	br, err := breaker.New("payment", breaker.WithObserver(observer))
//
// There is a line when something changes, and none for each call that it befalls:
// that a call was refused, retried or answered by a fallback is on the record of
// that call, see package record.
//
//	level  message                    attributes
//	WARN   circuit breaker opened     name, from, to, reason, open_for_ms
//	INFO   circuit breaker closed     name, from, to, reason
//	DEBUG  circuit breaker half-open  name, from, to, reason
//	WARN   policy degraded            policy, name, error
//	INFO   policy recovered           policy, name
//	DEBUG  limit changed              policy, name, from, to
//	DEBUG  fell back                  name, error
//
// Before them stand trace_id and span_id of the call that made the difference, if
// it has a trace.
//
// It is a package of its own because a program that only logs should not link what
// policies are made of, and because policies write no logs: they tell observers.
package policylog
