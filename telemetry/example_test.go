// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/telemetry"
	"github.com/fairlead-go/fairlead/telemetry/sampler"
	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// printer is an exporter that prints.
type printer struct{}

func (printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		fmt.Println("exported", s.Name())
	}
	return nil
}

func (printer) Shutdown(context.Context) error { return nil }

// A service sends its registry and its spans, and flushes when it ends. With
// OTEL_EXPORTER_OTLP_ENDPOINT and the like it takes no more than this; here the
// exporter is one that prints.
func ExampleNew() {
	ctx := context.Background()
	registry := prometheus.NewRegistry()
	tel, err := telemetry.New(ctx,
		telemetry.WithServiceName("order"),
		telemetry.WithDefaultExporter("none"),
		telemetry.WithSpanExporter(printer{}),
		telemetry.WithGatherer(registry))
	if err != nil {
		fmt.Println(err)
		return
	}
	registry.MustRegister(tel.Collector())

	_, span := tel.TracerProvider().Tracer("order").Start(ctx, "reserve")
	span.End()

	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	fmt.Println("flushed:", tel.Shutdown(ctx) == nil)
	fmt.Println("lost:", tel.Stats().Traces.Lost())
	// Output:
	// exported reserve
	// flushed: true
	// lost: 0
}

// A variable that is wrong is an error, not a line in a log.
func ExampleFromEnv() {
	_ = os.Setenv("OTEL_TRACES_SAMPLER", "sometimes")
	defer func() { _ = os.Unsetenv("OTEL_TRACES_SAMPLER") }()
	_, err := telemetry.FromEnv(context.Background())
	fmt.Println(err)
	// Output:
	// telemetry: OTEL_TRACES_SAMPLER is "sometimes", must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio
}

// Five traces a second, every payment, no health check; and whatever fails or
// takes long, although the head did not choose it.
func ExampleWithTail() {
	five, err := sampler.PerSecond(5)
	if err != nil {
		panic(err)
	}
	rules, err := sampler.Rules(five,
		sampler.Rule{RPCMethod: "shop.v1.Payment/*", Sampler: sdktrace.AlwaysSample()},
		sampler.Rule{SpanName: "*", Sampler: sdktrace.NeverSample()}) // for this example
	if err != nil {
		panic(err)
	}
	tel, err := telemetry.New(context.Background(),
		telemetry.WithDefaultExporter("none"),
		telemetry.WithSpanExporter(printer{}),
		telemetry.WithSampler(sampler.ParentBased(rules)),
		telemetry.WithTail(tail.WithSlow(300*time.Millisecond)))
	if err != nil {
		panic(err)
	}
	tracer := tel.TracerProvider().Tracer("order")
	for _, outcome := range []error{nil, errors.New("out of stock")} {
		ctx, root := tracer.Start(context.Background(), "POST /orders")
		_, child := tracer.Start(ctx, "INSERT")
		child.End()
		if outcome != nil {
			root.SetStatus(codes.Error, outcome.Error())
		}
		root.End()
	}
	_ = tel.Shutdown(context.Background())
	fmt.Println("dropped:", tel.Stats().Tail.Dropped, "kept for an error:", tel.Stats().Tail.Error)
	// Output:
	// exported INSERT
	// exported POST /orders
	// dropped: 1 kept for an error: 1
}

// One logger writes JSON and sends OTLP.
func ExampleTelemetry_SlogHandler() {
	tel, err := telemetry.New(context.Background(), telemetry.WithDefaultExporter("none"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	logger := slog.New(slog.NewMultiHandler(
		logging.NewHandler(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		tel.SlogHandler()))

	peer := propagation.MapCarrier{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	ctx := tel.Propagator().Extract(context.Background(), peer)
	logger.InfoContext(ctx, "reserved", "sku", "s-1")
	// Output:
	// {"level":"INFO","msg":"reserved","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","sku":"s-1"}
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Settings show what holds and why, without the secrets.
func ExampleSettings() {
	_ = os.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
	defer func() { _ = os.Unsetenv("OTEL_EXPORTER_OTLP_HEADERS") }()
	tel, err := telemetry.New(context.Background(),
		telemetry.WithServiceName("order"), telemetry.WithDefaultExporter("none"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	fmt.Print(tel.Settings().Changed())
	// Output:
	// OTEL_SERVICE_NAME           order              option
	// OTEL_TRACES_EXPORTER        none               option
	// OTEL_METRICS_EXPORTER       none               option
	// OTEL_LOGS_EXPORTER          none               option
	// OTEL_EXPORTER_OTLP_HEADERS  authorization=***  environment
}

// A request that comes with B3 headers goes on with traceparent and B3.
func ExampleTelemetry_Propagator() {
	_ = os.Setenv("OTEL_PROPAGATORS", "tracecontext,b3")
	defer func() { _ = os.Unsetenv("OTEL_PROPAGATORS") }()
	tel, err := telemetry.New(context.Background(), telemetry.WithDefaultExporter("none"))
	if err != nil {
		panic(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	in := propagation.MapCarrier{"b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}
	out := propagation.MapCarrier{}
	tel.Propagator().Inject(tel.Propagator().Extract(context.Background(), in), out)
	fmt.Println(out["traceparent"])
	fmt.Println(out["b3"])
	// Output:
	// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
	// 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1
}
