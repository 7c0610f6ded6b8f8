// SPDX-License-Identifier: Apache-2.0

// Package record makes one record of each call: its identity, one span, one
// observation of its duration with an exemplar, and one line of the request log,
// all from the same two clock readings, so that they cannot disagree.
//
// A [Recorder] is made once a process and shared by all adapters:
//
//	rec, err := record.New(record.WithMetrics(set), record.WithLogger(logger))
//	…
//	grpc.NewServer(interceptors.ServerOptions(interceptors.Record(rec), interceptors.Recovery())...)
//	handler := httpmw.Chain(mux, httpmw.Record(rec), httpmw.Recovery())
//
// It is the engine under packages interceptors and httpmw and knows no
// transport: an adapter reads an [Incoming] from its headers, starts a [Call],
// uses the call as the context of all that is done for it, writes its
// [Outgoing], and finishes it with a status of its own table. Use it directly to
// write an adapter for something else.
//
// # Identity
//
// A call continues the trace of its traceparent or, without one, of whatever the
// configured propagators find; a trace id in X-Trace-ID becomes the trace id;
// otherwise a new trace begins. Without an SDK there are ids all the same, so
// that logs correlate; they go on as X-Trace-ID and leave the next service free to
// sample. What is not well formed counts as not sent.
//
// # Policies
//
// A call that is tried several times is one record: [Call.StartAttempt] makes each
// try a span below the call's and an observation of its own. [PolicyEvents] puts
// what resilience policies decide on the record of the call that they decide upon,
// and [Degrade] marks the calls whose reply has something in it that stood in for
// what failed.
//
// # Cost
//
// A call is one allocation, which is also its context. What is known of a method,
// a route or a host is resolved once. Nothing is built that nobody reads: no
// attributes without a recorded span, no line below the log's level.
//
// # Concurrency
//
// A Recorder is safe for concurrent use and has nothing to close. A Call is made
// and finished by its adapter; adding to it is safe from any goroutine, also
// after it was finished.
package record
