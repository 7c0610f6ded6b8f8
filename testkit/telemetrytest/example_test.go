// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// printing shows on the standard output what would fail a test.
type printing struct{}

func (printing) Helper() {}

func (printing) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// started is the clock of the examples.
var started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func Example() {
	var t printing // in a test, its *testing.T
	rec := telemetrytest.NewRecorder()

	// Give each service its signals, and let them work.
	tracer := rec.TracerProvider("order").Tracer("shop")
	logger := slog.New(rec.LogHandler("order"))
	rec.AddMetrics("order", prometheus.NewRegistry())

	ctx, span := tracer.Start(context.Background(), "reserve stock")
	id := span.SpanContext()
	logger.InfoContext(ctx, "reserved", "trace_id", id.TraceID().String(), "span_id", id.SpanID().String())
	span.End()

	// Stop them, and check.
	run := rec.Run(t)
	telemetrytest.Check(t, run)
	run.Traces().Covers("order").NoOrphans()
	run.Logs().AllCorrelated()
	fmt.Println("checked", run.Traces().Len(), "trace and", run.Logs().Len(), "line")
	// Output: checked 1 trace and 1 line
}

func ExampleCheck() {
	var t printing
	rec := telemetrytest.NewRecorder()
	tracer := rec.TracerProvider("order", withIDs(&counting{})).Tracer("shop")

	ctx, parent := tracer.Start(context.Background(), "POST /orders", trace.WithTimestamp(started), trace.WithSpanKind(trace.SpanKindServer))
	tracer.Start(ctx, "reserve stock", trace.WithTimestamp(started.Add(time.Millisecond))) // and nobody ends it
	parent.End(trace.WithTimestamp(started.Add(20 * time.Millisecond)))

	telemetrytest.Check(t, rec.Run(t))
	// Output:
	// telemetrytest: span-ended: span "reserve stock" of order (trace 0af7651916cd43dd8448eb211c80319c, span 0000000000000002): started at 03:04:05.001000000 and never ended
	// trace 0af7651916cd43dd8448eb211c80319c
	// └─ POST /orders  order  server  20ms  0000000000000001
	//    └─ reserve stock  order  internal  0000000000000002  NOT ENDED
}

func ExampleRun_Problems() {
	rec := telemetrytest.NewRecorder()
	logger := slog.New(rec.LogHandler("order"))
	logger.Info("listening")
	logger.Info("reserved", "sku", "tea")

	run := rec.Run(nil) // outside of a test
	for _, p := range run.Problems(telemetrytest.Uncorrelated("listening")) {
		fmt.Println(p.Rule)
	}
	// Output:
	// log-correlated
	// log-correlated
}

func ExampleSpan_IsAncestorOf() {
	var t printing
	rec := telemetrytest.NewRecorder()
	gateway, order := rec.TracerProvider("gateway").Tracer("shop"), rec.TracerProvider("order").Tracer("shop")

	ctx, request := gateway.Start(context.Background(), "POST /orders")
	ctx, call := order.Start(ctx, "shop.Order/Create")
	_, query := order.Start(ctx, "INSERT orders")
	query.End()
	call.End()
	request.End()

	tr := rec.Run(t).Trace(request.SpanContext().TraceID().String())
	tr.Covers("gateway", "order").NoOrphans()
	tr.Span("POST /orders").IsAncestorOf("shop.Order/Create", "INSERT orders")
	tr.Span("INSERT orders").IsDescendantOf("shop.Order/Create")
	fmt.Println(tr.Services())
	// Output: [gateway order]
}

// A call that was tried three times must have three attempts below it.
func ExampleCheck_attempts() {
	var t printing
	rec := telemetrytest.NewRecorder()
	tracer := rec.TracerProvider("order", withIDs(&counting{})).Tracer("shop")
	logger := slog.New(rec.LogHandler("order"))
	client := trace.WithSpanKind(trace.SpanKindClient)

	ctx, call := tracer.Start(context.Background(), "shop.Stock/Get", client, trace.WithTimestamp(started),
		trace.WithAttributes(attribute.String("rpc.method", "shop.Stock/Get")))
	for n := range 2 {
		_, attempt := tracer.Start(ctx, "Attempt.shop.Stock.Get", client, trace.WithTimestamp(started),
			trace.WithAttributes(attribute.String("rpc.method", "shop.Stock/Get"), attribute.Int("previous-rpc-attempts", n)))
		attempt.End(trace.WithTimestamp(started.Add(time.Millisecond)))
	}
	call.End(trace.WithTimestamp(started.Add(20 * time.Millisecond)))
	id := call.SpanContext()
	logger.InfoContext(ctx, "rpc client call", "trace_id", id.TraceID().String(), "span_id", id.SpanID().String(), "attempts", 3)

	for _, p := range rec.Run(t).Problems(telemetrytest.Only(telemetrytest.CallAttempts)) {
		message, _, _ := strings.Cut(p.Message, ": log line")
		fmt.Println(p.Rule, "|", message)
	}
	// Output:
	// call-attempts | span "shop.Stock/Get" of order (trace 0af7651916cd43dd8448eb211c80319c, span 0000000000000001) has 2 attempts, and its line says "3"
}

func ExampleRules() {
	for _, r := range telemetrytest.Rules() {
		fmt.Println(r.Rule)
	}
	// Output:
	// run-complete
	// span-ended
	// span-once
	// span-times
	// span-parent
	// log-line
	// log-keys
	// log-correlated
	// log-known-id
	// log-context
	// exemplar-size
	// exemplar-leads
	// exemplar-value
	// call-line
	// call-fields
	// call-duration
	// call-count
	// call-attempts
	// call-degraded
	// metric-ids
	// metric-series
}
