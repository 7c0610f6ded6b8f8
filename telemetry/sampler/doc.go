// SPDX-License-Identifier: Apache-2.0

// Package sampler has head samplers: they decide about a trace when it starts.
// They are ordinary sdktrace.Samplers, wrap each other, and work with any
// OpenTelemetry SDK set-up; telemetry.WithSampler installs one.
//
//	perSecond, err := sampler.PerSecond(50)
//	if err != nil { ... }
//	rules, err := sampler.Rules(perSecond,
//		sampler.Rule{Path: "/healthz", Sampler: sdktrace.NeverSample()},
//		sampler.Rule{RPCMethod: "shop.v1.Payment/*", Sampler: sdktrace.AlwaysSample()})
//	if err != nil { ... }
//	head := sampler.ParentBased(rules)
//
// Wrap with [ParentBased] last, so that one trace is decided once, by its root,
// and every hop follows. Errors and slow requests cannot be known at the start:
// see package tail for those.
//
// What a sampler sees is what the span has when it starts: its name, its kind
// and the attributes given to Start. A route that the router finds later is not
// among them.
package sampler
