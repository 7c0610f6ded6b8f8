// SPDX-License-Identifier: Apache-2.0

// Package httpmw is Fairlead over net/http: middleware of the plain type
// func(http.Handler) http.Handler and transports of the type
// func(http.RoundTripper) http.RoundTripper, each of use alone, and servers and
// clients whose every number is set. Package interceptors is the same over gRPC.
//
//	rec, err := record.New(record.WithMetrics(set), record.WithLogger(logger))
//	…
//	h := httpmw.Chain(httpmw.Route(mux),
//		httpmw.Record(rec), httpmw.Recovery(), httpmw.Deadline(serverBudget))
//	srv, err := httpmw.NewServer(":8443", h, httpmw.WithTLS(cfg))
//	…
//	payment, err := httpmw.NewClient("payment", httpmw.WithTransports(
//		httpmw.RecordTransport(rec, "payment"), httpmw.DeadlineTransport(clientBudget)))
//
// It is no router and no framework: any http.Handler goes in, and what comes out
// is one. It decides nothing by itself that has a policy (retry, limits): it
// carries policies to HTTP, and status.go alone says what a status means.
//
// # What a request gets
//
// [Record] makes its identity, one span, one observation of its duration with an
// exemplar, and one log line, which agree to the nanosecond; [RecordTransport]
// does for requests sent. [Recovery] answers panics, [Deadline] and
// [DeadlineTransport] carry the deadline from hop to hop in X-Request-Timeout-Ms,
// and [PayloadLog] shows bodies to those who ask for it. Errors are told to
// peers as problem details (RFC 9457, [WriteProblem]), with a page of yours for
// browsers, and never tell what is inside.
//
// Answers are left as they are: flushing, sendfile, 1xx, trailers, upgrades and
// [http.ResponseController] work as without this package.
//
// # Order
//
// Servers: Record first, since it is to see everything, panics and refusals
// included; Recovery next, so that the record sees the answer it gives; Deadline,
// before work begins; then what is yours; [Route] or nothing around the mux.
//
// Clients: RecordTransport first, since one record is what the caller saw;
// DeadlineTransport below it, so that a refusal is recorded; what is yours after
// that. A request that is sent again (a redirect) is a record of its own.
//
// # Cardinality
//
// Nothing a peer sends becomes a label: routes are patterns, methods are known
// ones, hosts are no label of servers at all, and clients' hosts are capped.
//
// # Cost
//
// Over a bare handler a recorded request with metrics, exemplars, request log
// and Recovery costs 18 allocations if it is sampled and 10 if it is not, over a
// bare transport 22 and 15; the budgets are tests. Middleware that is not needed
// (a Deadline without limits, a PayloadLog whose level is off) costs none.
//
// # Concurrency
//
// Everything is safe for concurrent use, and what is made once serves all
// requests. No goroutine is started here, but for what [net/http] starts: a
// server's are ended by its Shutdown or Close, a client's by
// CloseIdleConnections. A response's body must be closed, as with any client.
package httpmw
