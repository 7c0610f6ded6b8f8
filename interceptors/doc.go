// SPDX-License-Identifier: Apache-2.0

// Package interceptors is Fairlead over gRPC: interceptors for unary calls and
// streams, on servers and on clients, each of use alone, and servers and
// connections whose every number is set. Package httpmw is the same over HTTP.
//
//	rec, err := record.New(record.WithMetrics(set), record.WithLogger(logger))
//	…
//	srv, err := interceptors.NewServer(interceptors.WithTLS(cfg), interceptors.WithServerInterceptors(
//		interceptors.Record(rec), interceptors.Recovery(), interceptors.Deadline(serverBudget)))
//	…
//	inventory, err := interceptors.NewClient("dns:///inventory:443", interceptors.WithClientInterceptors(
//		interceptors.Record(rec), interceptors.Deadline(clientBudget)))
//
// [ServerOptions] and [DialOptions] put the same into a server and a connection
// that are made with grpc-go alone; and since every interceptor is a value with
// a method for each kind of call, a chain put together by hand takes them too:
//
//	r := interceptors.Record(rec)
//	grpc.NewServer(
//		grpc.ChainUnaryInterceptor(r.UnaryServer(), auth, interceptors.Recovery().UnaryServer()),
//		grpc.ChainStreamInterceptor(r.StreamServer(), streamAuth, interceptors.Recovery().StreamServer()))
//
// It is no framework: what goes in and comes out is grpc-go's, and interceptors
// of others, go-grpc-middleware's for one, stand in the same chain
// ([ServerFuncs], [ClientFuncs]). It decides nothing by itself that has a policy
// (retry, limits): it carries policies to gRPC, and status.go alone says what a
// status means.
//
// # What a call gets
//
// [Record] makes its identity, one span, one observation of its duration with an
// exemplar, and one log line, which agree to the nanosecond, whatever ends it: a
// status, a panic, a handler that ends its goroutine, a stream that nobody
// receives from any more. [Recovery] answers panics and [Deadline] keeps to the
// budget of the deadline that gRPC carries. [PayloadLog] shows messages to those
// who ask for it, [Attempts] the attempts of gRPC's own retries, which are one
// call. [WithOTelGRPC] leaves the spans to otelgrpc.
//
// Errors reach the peer as the handler returned them; those of contexts become
// Canceled and DeadlineExceeded, and of a panic the peer learns nothing.
//
// # Order
//
// Servers: Record first, since it is to see everything, panics and refusals
// included; Recovery next, so that it ends panics of all that follows, and the
// record sees its answer; Deadline, before work begins; then what is yours.
//
// Clients: Record first, since one record is what the caller saw; Deadline below
// it, so that a refusal is recorded; then what is yours.
//
// # Unknown methods
//
// grpc-go answers calls to methods that nobody registered without asking an
// interceptor. ServerOptions has them go through the chain, so that they are
// recorded, under the method _OTHER; a chain put together by hand needs a
// [grpc.UnknownServiceHandler] for that. What no interceptor sees is a request
// that cannot be decoded.
//
// # Cardinality
//
// Nothing a peer sends becomes a label: methods are registered ones, codes are
// gRPC's, and a client's server is the name it dialled, not what that resolved to.
//
// # Cost
//
// Over bare grpc-go a unary call with spans on both sides, metrics with
// exemplars, request log and Recovery costs 39 allocations if it is sampled and
// 32 if it is not, client and server together; a message on a stream costs none.
// The budgets are tests. No stats handler is used, which alone costs 32
// allocations, unless Attempts or WithOTelGRPC ask for one.
//
// # Concurrency
//
// Everything is safe for concurrent use, and what is made once serves all calls.
// No goroutine is started here.
package interceptors
