// SPDX-License-Identifier: Apache-2.0

// Package policies puts the policies of this module together: what applies to the
// calls of each downstream service, and what protects this process from its callers.
//
//	set, err := policies.New(
//		policies.WithObserver(observer),
//		policies.WithDefaults(
//			policies.Retry(retry.WithPerTryTimeout(500*time.Millisecond))),
//		policies.WithService("payment",
//			policies.RateLimit(100, 20),
//			policies.Bulkhead(50),
//			policies.Method("POST /charges", policies.NoRetry())),
//		policies.WithServer(
//			policies.Concurrency(200),
//			policies.Shed()))
//	…
//	client := set.Service("payment").Method("POST /charges") // its breaker, limiter, …
//
// Adapters take a [Service] and apply it to what they send; for calls that are
// neither gRPC nor HTTP there is [Client.Do]. Package policyfile reads the same from
// a file.
//
// # Layers
//
// Options come in layers, and each adds to those before it:
//
//	retry and breaker, with their defaults        of this package
//	WithDefaults(…)                               for every downstream service
//	WithService("payment", …)                     for one
//	Method("/shop.Payment/", retry or hedge)      for a gRPC service of it
//	Method("/shop.Payment/Charge", …)             for one method of it
//
// So Retry in a later layer changes what it names and keeps the rest. [NoRetry] and
// its like switch a policy off, and a later Retry switches it on again, with all that
// has been said of it before. A call is retried or hedged, never both: the later of
// [Retry] and [Hedge] holds.
//
// # What is shared
//
// All calls to a service share its breaker, its rate limit, its bulkhead and the
// budget from which retries and hedges are paid. Services share nothing, not even a
// lock. Only retry and hedge can differ by method: a service is down or it is not.
//
// # Order
//
// A call is retried or hedged; each attempt asks the breaker, which costs nothing
// where it refuses, then waits for the rate limit, then for a place in the bulkhead,
// and is sent.
//
// # Concurrency
//
// Everything here is safe for concurrent use. Finding the policies of a call takes no
// lock and no allocation. No goroutine is started and nothing has to be closed.
//
// # Cost
//
// Breaker, rate limit, bulkhead and retry together cost a call that succeeds one
// allocation: see BenchmarkDo.
package policies
