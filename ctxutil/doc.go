// SPDX-License-Identifier: Apache-2.0

// Package ctxutil holds what a request carries through a service and on to the
// next: its identity, its attributes, its deadline and its business headers.
//
//	func (s *server) Reserve(ctx context.Context, r *pb.ReserveRequest) (*pb.ReserveReply, error) {
//		ctxutil.Add(ctx, slog.String("order_id", r.OrderId)) // on the span and on the request's log line
//		ctxutil.Go(ctx, "warm-cache", s.warm)                 // same trace, panics recovered
//		…
//	}
//
// # Identity
//
// A request is known by its span ([IdentityFrom], [TraceID]) and, if its caller
// gave an id of its own, by a correlation id. The traceparent header decides; a
// caller without one may send X-Trace-ID; ids exist even when no tracer is
// installed or the trace is not sampled, so that logs always correlate. What a
// peer sends is parsed strictly and bounded ([ParseTraceparent], [ParseTraceID],
// [SafeID], [ParseBaggage]). What is malformed is ignored: it is never an error
// to the peer.
//
// # Attributes
//
// [Add] puts attributes on the running request: on its span, on its log line even
// when that was prepared long before, and on every record logged after. [SetLevel]
// sets the log level of one request.
//
// # Budget
//
// A deadline is a budget that shrinks hop by hop. [WithBudget] takes a reserve off
// what the caller allows and refuses a call with nothing left. Over gRPC it travels
// as grpc-timeout, over HTTP as X-Request-Timeout-Ms. When a request ends early,
// [EndedBy] says by whose doing.
//
// # Carriers
//
// [Carrier] is one view of HTTP headers and gRPC metadata. [Forward] lists the
// business headers that may travel on, [Egress] the hosts that may see them, and
// [Ingress] says whether a server believes what callers send.
//
// # Goroutines
//
// Work handed to another goroutine keeps the identity of its request: [Go],
// [Group] and [Pool] for work within the request, [Detach] for work that outlives
// it, [Envelope] for work that crosses a queue.
//
// # What it is not
//
// It is no place for arbitrary values: a context of this package holds what every
// service needs to find a request again, and nothing that belongs to one of them.
// It knows no transport, records nothing and starts no tracer: packages record,
// interceptors, httpmw and telemetry do.
package ctxutil
