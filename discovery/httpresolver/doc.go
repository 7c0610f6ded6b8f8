// SPDX-License-Identifier: Apache-2.0

// Package httpresolver lets HTTP clients call services by name: it sends what is asked of
// http://order/ to the instances of order that a [discovery.Watcher] knows, and chooses
// among them with package balancer.
//
//	orders, err := httpresolver.New("order", watcher, httpresolver.WithBalancer(balancer.WithZone("eu-1a")))
//	defer orders.Close()
//	client, err := httpmw.NewClient("order",
//		httpmw.WithTLS(orders.TLSConfig(config)),
//		httpmw.WithTransports(httpmw.RecordTransport(rec, "order"), httpmw.PoliciesTransport(set.Service("order")),
//			httpmw.AttemptTransport(rec), orders.Transport)) // the last one
//	resp, err := client.Get("https://order/v1/orders/7")
//
// # What becomes of a request
//
// If its URL's host is the service, without a port, an instance is picked and takes the
// host's place in the URL; otherwise it passes through as it is. The Host header stays the
// service, unless the request has one of its own. The call is in flight, as far as the
// balancer is concerned, until the response's body is read to its end or closed, which is
// what net/http asks for anyway; the time that counts is that to the response's header.
//
//	there is no connection                 the instance is out of picks at once; another is tried
//	the connection broke, 5xx              counts against the instance
//	429, 503 with Retry-After              it has too much to do
//	the caller canceled                    says nothing
//	the caller's deadline passed           counts if it was patient (WithPatience)
//
// A request waits only for the very first answer of the registry, and only while the
// resolver is new ([WithWait]). After that it fails at once if there is no instance, with an
// error that says why and matches [discovery.ErrNoInstances], [discovery.ErrNotAnswered] or
// [discovery.ErrStale]. A registry that is away is no reason for that: the watcher goes on
// with what it knows.
//
// # Decisions
//
//   - One resolver for one service, as there is one client for it. Several can be put in a
//     chain for a client that calls several services over http.
//   - https is verified by the name of the service and not by addresses that a registry
//     says: without [Resolver.TLSConfig] in the client, https:// URLs fail with
//     [ErrServerName].
//   - Trying another instance is not a retry: it is done only as long as nothing was sent,
//     and needs no policy. Everything else is left to the policies above, which call this
//     transport again and may get another instance.
//   - An instance is reported by [Observer.Picked], with the request's context, so that who
//     makes records, spans or lines of it can add it.
//
// # What it is not
//
// It is no connection pool: that of the client keeps connections by address. It does not
// retry, limit or break circuits: package httpmw does. It knows no registry.
//
// # Cost
//
// Six allocations a request, and no goroutine. The watch is one goroutine for all of a
// process's clients of a service.
//
// # Concurrency
//
// A [Resolver] is safe for concurrent use, and so are its transports.
package httpresolver
