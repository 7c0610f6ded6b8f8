// SPDX-License-Identifier: Apache-2.0

// Package fairlead carries one request through many services without losing
// it: its trace, its deadline, its log lines, its metrics, its errors.
//
// This package is the front door. A [Service] wires the pieces of the packages
// below in the right order, for gRPC and HTTP, as server and as client:
//
//	svc, err := fairlead.New("order", fairlead.WithPlaintext(), fairlead.WithHTTP(":8080"), fairlead.WithGRPC(":8081"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	inventory, err := svc.Dial("dns:///inventory:8081") // or, with a registry, svc.Dial("inventory")
//	...
//	orderpb.RegisterOrderServer(svc.GRPC(), newServer(inventory))
//	svc.HTTP().Handle("GET /orders/{id}", ordersHandler)
//	log.Fatal(svc.Run(ctx))
//
// Every piece also works alone, in a server that exists already:
//
//	interceptors  gRPC: record, recovery, deadline, policies; servers and clients with explicit settings
//	httpmw        net/http: the same, file by file
//	record        one call, one record: the span, the observation and the log line of both
//	ctxutil       what a request carries: identity, attributes, deadline budget, headers, goroutines
//	logging       slog handlers: correlation, redaction, sampling
//	metrics       Prometheus instruments with exemplars and bounded labels
//	resilience    retry, breaker, limits and other policies, without a transport
//	discovery     services by name: Consul, etcd and others; registration; balancing
//	health        checks, watchdogs, liveness and readiness
//	drain         what is in flight, and how it ends
//	telemetry     (own module) the OpenTelemetry SDK from OTEL_* variables
//
// # Order
//
// A server runs record → recovery → deadline → drain → rate limit → concurrency
// limit → load shedding → yours → handler, a client record → deadline → retry or
// hedge → for each attempt: breaker → rate limit → bulkhead → attempt record →
// yours → pick → send. The record is outermost so that it sees what everything else does to a
// call; recovery is next so that a panic anywhere further in becomes an answer;
// the deadline comes before anything that costs, so that what is already lost is
// not worked on; a breaker comes before what waits, since it refuses at no cost.
//
// # Beginning and end
//
// [Service.Run] runs health checks, serves, and registers; it ends in the opposite
// order, so that nobody calls what is gone: not ready, out of the registry, serving
// on until callers have noticed, then draining, with a limit.
//
// # Concurrency
//
// A Service is set up by one goroutine, and then run. What it hands out is
// safe for concurrent use.
package fairlead
