// SPDX-License-Identifier: Apache-2.0

// Package telemetry starts OpenTelemetry from the standard OTEL_* environment:
// traces, metrics and logs over OTLP, sampling, propagation, and a shutdown that
// flushes. It is the only package of Fairlead that knows the SDK; everything
// else speaks to the OpenTelemetry API and works with any other set-up, too.
//
//	tel, err := telemetry.New(ctx,
//		telemetry.WithServiceName("order"),
//		telemetry.WithGatherer(registry),
//		telemetry.WithTail(tail.WithSlow(300*time.Millisecond)))
//	if err != nil {
//		return err
//	}
//	defer func() {
//		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
//		defer cancel()
//		_ = tel.Shutdown(ctx) // what was lost is in the log and in tel.Stats()
//	}()
//	registry.MustRegister(tel.Collector())
//	tel.SetGlobal() // for libraries that know nothing else
//
// A program that wants no code at all imports package telemetry/auto instead.
//
// # Environment
//
// Only variables of the OpenTelemetry specification are read, and none is
// invented. Where both say something, the environment wins over the options:
// whoever runs a program has the last word. A value that is not understood is an
// error of New that names the variable; the SDK alone would ignore it with a
// line in a log. [Telemetry.Settings] has what is in effect and where it came
// from, with secrets masked. Understood are
//
//   - OTEL_SDK_DISABLED: everything off, except that identities are still passed
//     on. The Go SDK itself does not know it.
//   - OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
//   - OTEL_LOG_LEVEL: none, error, warn, info or debug; how much telemetry says
//     about itself
//   - OTEL_PROPAGATORS: tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace,
//     none, and what is registered with contrib's autoprop
//   - OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: always_on, always_off,
//     traceidratio, and each with parentbased_ in front
//   - OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER: lists of
//     otlp (the default), console or none; for metrics prometheus, too, with
//     OTEL_EXPORTER_PROMETHEUS_HOST and _PORT
//   - OTEL_EXPORTER_OTLP_PROTOCOL (http/protobuf, grpc), _ENDPOINT, _INSECURE,
//     _HEADERS, _COMPRESSION, _TIMEOUT, _CERTIFICATE, _CLIENT_CERTIFICATE,
//     _CLIENT_KEY, for all signals or with _TRACES, _METRICS or _LOGS after OTLP
//   - OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE and
//     _DEFAULT_HISTOGRAM_AGGREGATION, OTEL_METRICS_EXEMPLAR_FILTER
//   - OTEL_BSP_*, OTEL_BLRP_*, OTEL_METRIC_EXPORT_INTERVAL and _TIMEOUT
//   - OTEL_SPAN_*, OTEL_EVENT_*, OTEL_LINK_* and OTEL_LOGRECORD_* limits
//
// # When the collector is away
//
// Nothing waits for it: New does not connect, and spans and log records go into
// bounded queues that drop what does not fit. The newest is dropped, so that the
// beginning of an outage can be seen afterwards. Every loss is counted
// ([Telemetry.Stats], and [Telemetry.Collector] for /metrics). That an exporter
// fails is logged once, and so is that it works again, with how much was lost.
//
// # Metrics
//
// Fairlead's metrics are Prometheus collectors. [WithGatherer] sends a whole
// registry, exemplars included, through the OTLP exporter; instruments made with
// [Telemetry.MeterProvider] go the same way. A registry that is scraped as well
// is counted twice by a backend that takes both.
//
// # Sampling
//
// Package sampler has head samplers (at most N traces a second, rules per
// route), package tail keeps errors and slow requests.
package telemetry
