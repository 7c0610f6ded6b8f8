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
//		httpmw.RecordTransport(rec, "payment"), httpmw.DeadlineTransport(clientBudget),
//		httpmw.PoliciesTransport(set.Service("payment")), httpmw.AttemptTransport(rec)))
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
// # Policies of clients
//
// [PoliciesTransport] applies all policies of a downstream service, and
// [RetryTransport], [HedgeTransport], [BreakerTransport], [RateLimitTransport] and
// [BulkheadTransport] one each. Statuses are what decides: a 503 that is left when
// attempts are used up is still a response, and [CheckResponse] makes an error of it
// that says so. A policy's own refusal is an error, and nothing was sent.
//
// Requests are sent again if they may be handled twice, by their method or a key, and
// if their body can be had again; the reasons why one was not are in the error. An
// answer may be read in its own time, whatever limit its attempt had. net/http itself
// resends a request whose idle connection turns out to be gone; that is below the
// policies, and one attempt to them.
//
// # Order
//
// Servers: Record first, since it is to see everything, panics and refusals
// included; Recovery next, so that the record sees the answer it gives; Deadline,
// before work begins; then what admits requests or refuses them, [RateLimit],
// [Concurrency], [Shed]; then what is yours; [Route] or nothing around the mux.
//
// Clients: RecordTransport first, since one record is what the caller saw;
// [FallbackTransport], which is asked when all else has failed; DeadlineTransport
// below, so that a refusal is recorded and all attempts share one deadline; then the
// policies, or one by one: retry or hedge, and for each attempt the breaker, which
// refuses at no cost, the rate limit and the bulkhead, which wait; AttemptTransport
// last, since what was not sent is no attempt. What is yours goes above the policies
// if it is done once for a request, and below them if it is done for each attempt, as
// signing with a date is.
//
// A redirect that a client follows is a request of its own for all of them: a record,
// a deadline, attempts. One that led to another origin is not held to the policies,
// and does not count for them: that is another server.
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
// To a request that succeeds at once, retry and rate limit add no allocation, a
// breaker adds one, a bulkhead 4, since it watches the body, and a time limit of
// attempts 8; all but the last add 5 together, and take 8 times as long as gobreaker's
// own Execute. The record of an attempt adds 22 allocations if the request is sampled,
// otherwise 6. A hedged request costs what package hedge says, and a copy of the
// request for each attempt.
//
// # Concurrency
//
// Everything is safe for concurrent use, and what is made once serves all
// requests. No goroutine is started here, but for the attempts of a hedged request,
// which have ended when it has its answer, and for what [net/http] starts: a
// server's are ended by its Shutdown or Close, a client's by
// CloseIdleConnections. A response's body must be closed, as with any client.
package httpmw
