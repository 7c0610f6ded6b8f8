// SPDX-License-Identifier: Apache-2.0

// Package tail decides about a trace when it is over: it keeps the errors and
// the slow requests that a head sampler, which decides at the start, has to
// miss. It works inside one process and needs no collector.
//
//	batcher := sdktrace.NewBatchSpanProcessor(exporter)
//	keep, err := tail.New(batcher, tail.WithSlow(300*time.Millisecond), tail.WithRatio(0.01))
//	if err != nil { ... }
//	provider := sdktrace.NewTracerProvider(
//		sdktrace.WithSampler(tail.Head(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.05)))),
//		sdktrace.WithSpanProcessor(keep))
//
// telemetry.WithTail does the same in one option.
//
// # How it decides
//
// The head sampler still decides what the traceparent says. [Head] turns its
// "drop" into "record only", so that every span reaches the [Processor]. A span
// that is sampled by the head goes on at once. The others are held, per trace,
// until no span of the trace is open in this process any more; in the common
// case that is the end of the local root, the span whose parent is remote or
// absent. The trace is kept, whole, as soon as one of its spans
//
//   - is forced, by the attribute of [WithForce],
//   - is kept by a rule of [WithRule],
//   - has an error status,
//   - is at least as long as [WithSlow] says,
//   - or is sampled by the head.
//
// A trace without any of these is kept if its id falls into [WithRatio], and
// dropped otherwise. Kept spans go to the next processor with the sampled flag
// set, because batchers and exporters pass nothing else.
//
// # Late spans
//
// The trace ids kept for a reason of their own are remembered, up to
// [WithMaxDecisions], the one used longest ago forgotten first. A span that ends
// after the decision follows it: into a kept trace it is exported, into a dropped
// one it is dropped and counted. But a late span that is itself a reason (an
// error, say) is always kept, and the trace with it from there on; what was
// dropped before is gone ([Stats].Revived). A trace that comes back with a second
// request to this process, after a decision to drop, is decided afresh.
//
// # Bounds
//
// Memory is bounded three ways: traces undecided ([WithMaxTraces]), spans held in
// all ([WithMaxSpans]) and spans held per trace ([WithMaxSpansPerTrace]). Past
// the per-trace bound further spans of the trace are dropped and counted, unless
// they are themselves a reason to keep it. Past the other two, and after
// [WithMaxAge], the oldest trace is decided early: kept if its first span has been
// open for as long as WithSlow says, else by the ratio. A trace decided early
// counts in [Stats].Early. Ages are looked at when spans start and end, and by
// ForceFlush; there is no goroutine.
//
// # Across services
//
// Each process decides for itself, and peers see the head's flag, not this
// decision: a trace kept here because of an error has no spans of a service that
// saw neither an error nor a slow request and runs no tail of its own. Three
// things make decisions agree across hops. The ratio looks at the trace id only,
// in the way of TraceIDRatioBased: the same ratio everywhere keeps the same traces
// everywhere, and a smaller one keeps a subset. An error that travels up as an
// error is kept by every service it passes. A caller is at least as slow as its
// callee: with one threshold everywhere, everything above a slow call is kept.
// What is left open is the siblings and callees that did well. Who needs those
// as well has to sample at the head, or to send everything to a collector that
// runs tail sampling. Exemplars point to traces sampled by the head only.
//
// # Cost
//
// Every span is recorded with its attributes, sampled or not. An unsampled span
// costs two short critical sections of one mutex and stays in memory until its
// trace is decided.
package tail
