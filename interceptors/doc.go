// SPDX-License-Identifier: Apache-2.0

// Package interceptors is Fairlead over gRPC: interceptors for unary calls and
// streams, servers and clients, each of use alone, and servers and connections
// whose every setting is explicit. Package httpmw is the same over net/http.
//
//	rec, err := record.New(record.WithMetrics(set), record.WithLogger(logger))
//	…
//	grpc.NewServer(interceptors.ServerOptions(
//		interceptors.Record(rec), interceptors.Recovery(), interceptors.Deadline(serverBudget),
//		interceptors.ServerFuncs{Unary: auth, Stream: streamAuth})...)
//	…
//	cc, err := interceptors.NewClient("dns:///inventory:8443", interceptors.WithClientInterceptors(
//		interceptors.Record(rec), interceptors.Deadline(clientBudget)))
//
// Each concern is one value for all kinds of call, so that none is forgotten on
// streams: its methods UnaryServer, StreamServer, UnaryClient and StreamClient
// give what [grpc.ChainUnaryInterceptor] and its like take.
//
// It is no framework and generates nothing. It decides nothing by itself that has a
// policy: it carries policies to gRPC, and status.go alone says what a code
// means.
//
// # What a call gets
//
// [Record] makes its identity, one span, one observation of its duration with an
// exemplar, and one log line, which agree to the nanosecond. [Recovery] answers
// panics, [Deadline] takes a reserve of the budget and refuses what is lost
// already, [PayloadLog] shows messages to those who ask for it, and [Attempts]
// shows the tries that gRPC's own retry makes of one call.
//
// Calls to methods that the server does not have are recorded, ended and
// answered like others, under the method _OTHER; see [ServerOptions]. What no
// interceptor sees is a request that gRPC cannot decode.
//
// # Order
//
// Servers: Record first, since it is to see everything, panics and refusals
// included; Recovery next, so that the record sees the answer it gives; Deadline,
// before work begins; then what is yours. Clients: Record first, since one record
// is what the caller saw; Deadline below it, so that a refusal is recorded; what
// is yours after that.
//
// # Cardinality
//
// Nothing a peer sends becomes a label: methods are registered ones, codes those
// that gRPC defines, and a client's server is the name it dialled, not what that
// resolved to.
//
// # Cost
//
// Over bare gRPC, client and server together, a recorded call with spans,
// metrics, exemplars, request log and recovery costs 39 allocations if it is
// sampled and 32 if it is not, and a message of a stream none; the budgets are
// tests.
//
// # Concurrency
//
// Everything is safe for concurrent use, and what is made once serves all calls.
// No goroutine is started here but what gRPC starts: a [Client] is ended by its
// Close, a server by GracefulStop or Stop.
package interceptors
