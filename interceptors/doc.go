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
//		interceptors.Record(rec), interceptors.Deadline(clientBudget),
//		interceptors.Policies(set.Service("inventory")), interceptors.Attempts(rec)))
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
// who ask for it. [WithOTelGRPC] leaves the spans to otelgrpc.
//
// Errors reach the peer as the handler returned them; those of contexts become
// Canceled and DeadlineExceeded, and of a panic the peer learns nothing.
//
// # Policies of clients
//
// [Policies] holds calls to all policies of a downstream service, and [Retry], [Hedge],
// [Breaker], [RateLimited] and [Bulkhead] to one each; [Policing] says how. Codes are
// what decides: Unavailable, ResourceExhausted and Aborted are worth another attempt,
// and a client's fault never is. A refusal is an error with a status, and nothing was
// sent; push-back of a server is obeyed, and how many attempts there were before goes
// along with each.
//
// A call is one record however many attempts it takes. [Attempts] shows them, as
// [GRPCAttempts] does those of gRPC's own retries, which are off where ours are on.
//
// Streams are retried until their first message, from what was kept of them. A stream
// that can no longer be replayed is not, and if that mattered its error says so.
//
// # Order
//
// Servers: Record first, since it is to see everything, panics and refusals
// included; Recovery next, so that it ends panics of all that follows, and the
// record sees its answer; Deadline, before work begins; then what admits calls or
// refuses them, [RateLimit], [Concurrency], [Shed]; then what is yours.
//
// Clients: Record first, since one record is what the caller saw; [Fallback], which is
// asked when all else has failed; Deadline below, so that a refusal is recorded and all
// attempts share one deadline; then Policies or, one by one, retry or hedge, and for each
// attempt the breaker, which refuses at no cost, the rate limit and the bulkhead, which
// wait; Attempts last, since what was not sent is no attempt. What is yours goes above
// the policies if it is done once for a call, and below them if it is done for each
// attempt, as signing with a date is.
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
// allocations, unless GRPCAttempts or WithOTelGRPC ask for one.
//
// To a unary call that succeeds at once retry, breaker, rate limit and bulkhead
// together add 3 or 4 allocations, of which one is the breaker's and one grpc-go's for
// the trailer; to a stream 5, and none to a message. A time limit of attempts adds a
// context, a second attempt the metadata that tell of it. A call that may be hedged
// costs a goroutine and 20 allocations, and Attempts 20 for each one that is sampled, or
// one.
//
// # Concurrency
//
// Everything is safe for concurrent use, and what is made once serves all calls.
// Goroutines are started for calls that are hedged, and to replay a client's stream;
// they end with the call.
package interceptors
