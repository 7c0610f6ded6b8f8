// SPDX-License-Identifier: Apache-2.0

// Package metrics makes the metrics of RPC and HTTP calls, on servers and on
// clients, as Prometheus collectors: rate, errors and duration under the names of
// the OpenTelemetry conventions, with the trace of a call as an exemplar.
//
//	reg := prometheus.NewRegistry()
//	set, err := metrics.New(reg, metrics.WithNativeHistograms())
//	if err != nil {
//		return err
//	}
//	if err := metrics.RegisterRuntime(reg); err != nil {
//		return err
//	}
//	mux.Handle("GET /metrics", metrics.Handler(reg))
//
// The call record takes it from there (record.WithMetrics). By hand, it is
//
//	method := set.RPC(metrics.RPCKey{Side: metrics.Server, Method: "shop.Order/Get"})
//	method.Begin(exemplar)
//	…
//	method.End(code, errorType, time.Since(start), exemplar)
//
// Resilience policies are given an observer, [Set.Policies], which counts what they
// decide; [Set.CollectPolicies] shows the state they are in. It is the same with
// discovery, balancers and health: [Set.Discovery], [Set.Fallback], [Set.Balancer] and
// [Set.Health] are observers, and what is a state is looked up at each scrape:
//
//	watcher, err := discovery.NewWatcher(registry, namespace, discovery.WithObserver(set.Discovery()))
//	set.CollectWatcher(watcher.Status)
//	set.CollectRegistrar(registrar.Status)
//	set.CollectPatrol("consul", patrol.Status)
//	set.CollectHealth(checks)
//	set.CollectBalancers(monitor.All) // a grpcbalancer.NewMonitor(set.Balancer)
//
// It is not a metrics API of its own: what is not about calls is made with
// client_golang, and [WrapHistogram], [WrapCounter] and [NewGuard] give it the same
// exemplars and the same protection. It does not push; OTLP users bridge the
// registry in package telemetry.
//
// # Names
//
// [Names] returns the table of all metrics: dashboards, alerts and tests are
// written against it. Where the conventions have a name, it is theirs; what they
// lack (calls in progress, messages on streams, attempts) is named in their manner;
// what is about Fairlead itself begins with fairlead_. Old RPC names come with
// OTEL_SEMCONV_STABILITY_OPT_IN, those of go-grpc-middleware with
// [WithGRPCMiddlewareNames].
//
// A call is what the user saw, however many attempts it took: call and request
// durations count it once, attempt durations count each.
//
// # Exemplars
//
// A trace id is an exemplar, never a label. There are exemplars of sampled traces
// only; they never exceed the 128 runes that OpenMetrics allows, over which
// client_golang panics; and per series and bucket there is at most one in each
// [DefaultExemplarInterval], because a scrape sees the last one alone.
// They are visible in OpenMetrics, which [Handler] offers, and Prometheus keeps
// them with --enable-feature=exemplar-storage.
//
// # Cardinality
//
// Every label whose values somebody else chooses has a cap ([WithCap]); a value
// past it becomes [Other], is counted in fairlead_metrics_label_overflow_total, and
// [Set.Offenders] shows a sample. Every duration has a cap on combinations as well
// ([WithSeriesCap]). The first values win, so what must not be crowded out is named
// ahead with [WithKnown].
//
// Hosts that a server is called by are no label at all. Clients label the name they
// dialled, not the addresses it resolves to.
//
// # Cost
//
// Instruments are resolved once per method, or per method and server; then an
// observation takes no lock and allocates nothing, an exemplar that is kept
// excepted, which costs nine allocations ten times a second.
//
// # Concurrency
//
// Everything is safe for concurrent use. Instruments that are nil, and those of a
// nil [Set], do nothing.
package metrics
