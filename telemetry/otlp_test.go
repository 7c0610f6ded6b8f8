// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/fairlead-go/fairlead/telemetry"
	"github.com/fairlead-go/fairlead/telemetry/internal/otlptest"
	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// collectors are the two ways to reach a collector, each with its variables.
var collectors = map[string]struct {
	start func(testing.TB) *otlptest.Collector
	env   []string
}{
	"grpc": {otlptest.NewGRPC, []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}},
	"http": {otlptest.NewHTTP, []string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"}},
}

func TestEverySignalReachesTheCollector(t *testing.T) {
	for name, via := range collectors {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(name+" "+compression, func(t *testing.T) {
				collector := via.start(t)
				setenv(t, via.env...)
				setenv(t,
					"OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL(), "OTEL_EXPORTER_OTLP_COMPRESSION="+compression,
					"OTEL_EXPORTER_OTLP_HEADERS=x-tenant=a%20b", "OTEL_RESOURCE_ATTRIBUTES=team=blue%20whale,service.name=order")
				registry := prometheus.NewRegistry()
				tel := start(t, telemetry.WithGatherer(registry), telemetry.WithServiceName("no"),
					telemetry.WithResourceAttributes(attribute.String("team", "red"), attribute.String("zone", "z1")))
				emit(t, tel, registry)
				if err := tel.Shutdown(t.Context()); err != nil {
					t.Fatalf("Shutdown: %v", err)
				}
				checkReceived(t, collector)
				if got := collector.Header("x-tenant"); !slices.Equal(got, []string{"a b"}) {
					t.Errorf("header x-tenant = %q, want a b", got)
				}
				if diff := cmp.Diff([]string{"traces", "metrics", "logs"}, collector.Order()); diff != "" {
					t.Errorf("order of the flush (-want +got):\n%s", diff)
				}
				if got := tel.Stats(); got.Traces.Exported != 1 || got.Logs.Exported != 1 || got.Metrics.Exported != 3 || got.Traces.Lost()+got.Logs.Lost()+got.Metrics.Lost() != 0 {
					t.Errorf("Stats() = %+v, want 1 span, 1 record, 3 points and no loss", got)
				}
			})
		}
	}
}

// emit makes one span, one record inside of it, and three metrics.
func emit(t *testing.T, tel *telemetry.Telemetry, registry *prometheus.Registry) {
	t.Helper()
	ctx, span := tel.TracerProvider().Tracer("test").Start(withTraceparent(t, "01"), "reserve")
	logger := slog.New(tel.SlogHandler())
	logger.InfoContext(ctx, "reserved", "sku", "s-1", "password", "hunter2")
	logger.DebugContext(ctx, "not at this level")
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total"})
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1}})
	registry.MustRegister(requests, seconds)
	requests.Add(2)
	seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(0.5, prometheus.Labels{"trace_id": traceID, "span_id": spanID, "k": "v"})
	requests.(prometheus.ExemplarAdder).AddWithExemplar(1, prometheus.Labels{"trace_id": "no id"})
	counter, err := tel.MeterProvider().Meter("test").Int64Counter("native", metric.WithUnit("{item}"))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 7)
	span.End()
}

func checkReceived(t *testing.T, collector *otlptest.Collector) {
	t.Helper()
	spans := collector.Spans()
	if len(spans) != 1 || spans[0].GetName() != "reserve" || hex.EncodeToString(spans[0].GetTraceId()) != traceID {
		t.Fatalf("spans %v, want reserve of trace %s", spans, traceID)
	}
	res := collector.Resource()
	for key, want := range map[string]string{
		"service.name": "order", "team": "blue whale", "zone": "z1", "telemetry.sdk.language": "go",
	} {
		if res[key] != want {
			t.Errorf("resource %s = %q, want %q", key, res[key], want)
		}
	}
	for _, key := range []string{"service.instance.id", "host.name", "process.executable.name", "process.runtime.version"} {
		if res[key] == "" {
			t.Errorf("resource has no %s", key)
		}
	}
	if _, found := res["process.command_args"]; found {
		t.Error("the resource shows the command line")
	}
	logs := collector.Logs()
	if len(logs) != 1 {
		t.Fatalf("%d log records, want 1", len(logs))
	}
	if got := logs[0]; got.GetBody().GetStringValue() != "reserved" ||
		hex.EncodeToString(got.GetTraceId()) != traceID || !slices.Equal(got.GetSpanId(), spans[0].GetSpanId()) {
		t.Errorf("log record %v, want the span's ids in their fields", got)
	}
	want := map[string]string{"sku": "s-1", "password": "[REDACTED]"}
	if diff := cmp.Diff(want, attributes(logs[0])); diff != "" {
		t.Errorf("attributes of the record (-want +got):\n%s", diff)
	}
	metrics := collector.Metrics()
	if got := metrics["requests_total"].GetSum().GetDataPoints(); len(got) != 1 || got[0].GetAsDouble() != 3 {
		t.Errorf("requests_total = %v, want 3", got)
	}
	if got := metrics["native"].GetSum().GetDataPoints(); len(got) != 1 || got[0].GetAsInt() != 7 {
		t.Errorf("native = %v, want 7", got)
	}
	for _, e := range metrics["requests_total"].GetSum().GetDataPoints()[0].GetExemplars() {
		if len(e.GetTraceId()) != 0 || e.GetFilteredAttributes()[0].GetValue().GetStringValue() != "no id" {
			t.Errorf("exemplar %v, want what is no id among the attributes", e)
		}
	}
	points := metrics["seconds"].GetHistogram().GetDataPoints()
	if len(points) != 1 || len(points[0].GetExemplars()) != 1 || hex.EncodeToString(points[0].GetExemplars()[0].GetTraceId()) != traceID {
		t.Fatalf("seconds = %v, want one point with the exemplar of trace %s", points, traceID)
	}
	if got := points[0].GetExemplars()[0]; hex.EncodeToString(got.GetSpanId()) != spanID || len(got.GetFilteredAttributes()) != 1 {
		t.Errorf("exemplar %v, want span %s and the label k", got, spanID)
	}
}

func attributes(r *logspb.LogRecord) map[string]string {
	out := make(map[string]string)
	for _, kv := range r.GetAttributes() {
		out[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return out
}

func TestSignalsMayGoDifferentWays(t *testing.T) {
	forTraces, forLogs := otlptest.NewGRPC(t), otlptest.NewHTTP(t)
	setenv(t,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+forTraces.URL(),
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="+forLogs.URL()+"/v1/logs", "OTEL_METRICS_EXPORTER=none")
	tel := start(t)
	ctx, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
	slog.New(tel.SlogHandler()).InfoContext(ctx, "line")
	span.End()
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(forTraces.Spans()) != 1 || len(forTraces.Logs()) != 0 || len(forLogs.Spans()) != 0 || len(forLogs.Logs()) != 1 {
		t.Errorf("orders %v and %v, want traces here and logs there", forTraces.Order(), forLogs.Order())
	}
}

func TestAnEndpointWithoutSchemeIsPlainIfSaidSo(t *testing.T) {
	collector := otlptest.NewGRPC(t)
	_, port, _ := strings.Cut(collector.Addr(), ":")
	setenv(t, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:"+port, "OTEL_EXPORTER_OTLP_INSECURE=true")
	tel := start(t)
	emit(t, tel, prometheus.NewRegistry())
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"traces", "metrics", "logs"}, collector.Order()); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
}

func TestTailKeepsAnErrorTheHeadDropped(t *testing.T) {
	collector := otlptest.NewGRPC(t)
	setenv(t, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL(), "OTEL_TRACES_SAMPLER=always_off")
	inProcess := tracetest.NewInMemoryExporter()
	tel := start(t, telemetry.WithTail(tail.WithSlow(0)), telemetry.WithSpanExporter(noShutdown{inProcess}))
	tracer := tel.TracerProvider().Tracer("test")
	for _, fails := range []bool{false, true} {
		ctx, root := tracer.Start(t.Context(), "root")
		_, child := tracer.Start(ctx, "child")
		if fails {
			child.SetStatus(codes.Error, "no")
		}
		child.End()
		root.End()
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"child", "root"}, collector.SpanNames()); diff != "" {
		t.Errorf("at the collector (-want +got):\n%s", diff)
	}
	if got := len(inProcess.GetSpans()); got != 2 {
		t.Errorf("the exporter of the option got %d spans, want 2", got)
	}
	if got, want := tel.Stats().Tail, (tail.Stats{Error: 1, Dropped: 1}); got != want {
		t.Errorf("Stats().Tail = %+v, want %+v", got, want)
	}
	if got := tel.Stats().Traces.Exported; got != 4 {
		t.Errorf("%d spans exported, want 2 by each exporter", got)
	}
}

// noShutdown keeps what the in-memory exporter would forget at shutdown.
type noShutdown struct{ *tracetest.InMemoryExporter }

func (noShutdown) Shutdown(context.Context) error { return nil }

func TestProcessorsSeeAllSpansBeforeTheTail(t *testing.T) {
	all := tracetest.NewSpanRecorder()
	tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithTail(),
		telemetry.WithSpanExporter(tracetest.NewInMemoryExporter()), telemetry.WithSpanProcessor(all),
		telemetry.WithSampler(sdktrace.NeverSample()))
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "ordinary")
	span.End()
	if got := len(all.Ended()); got != 1 {
		t.Errorf("the processor saw %d spans, want 1", got)
	}
}

func TestPrometheusExporterServesEverything(t *testing.T) {
	setenv(t, "OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST=127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT=0",
		"OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none")
	registry := prometheus.NewRegistry()
	tel := start(t, telemetry.WithGatherer(registry))
	emit(t, tel, registry)
	url := "http://" + tel.ScrapeAddr() + "/metrics"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/openmetrics-text")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for _, want := range []string{
		"requests_total 3.0 # {", "native_total{", `seconds_bucket{le="1.0"} 1 # {`, `trace_id="` + traceID + `"`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(request); err == nil {
		_ = res.Body.Close()
		t.Error("the endpoint is served after Shutdown")
	}
}

func TestAnOccupiedScrapePortIsAnErrorThatNamesItAndCleansUp(t *testing.T) {
	first := otlptest.NewHTTP(t) // any listener will do
	_, port, _ := strings.Cut(first.Addr(), ":")
	setenv(t, "OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST=127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT="+port)
	_, err := telemetry.FromEnv(t.Context())
	if err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_PROMETHEUS_PORT") || !strings.Contains(err.Error(), port) {
		t.Errorf("error %v, want one that names the variable and the port", err)
	}
	// goleak in TestMain sees the queues that would be left over.
}

func TestStartAndStopTakeNoTimeWithoutCollector(t *testing.T) {
	setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	begin := time.Now()
	tel := start(t, telemetry.WithLogger(nil))
	if err := tel.Shutdown(t.Context()); err != nil && !strings.Contains(err.Error(), "metrics") {
		t.Errorf("Shutdown without data: %v", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("start and stop took %v", took)
	}
}
