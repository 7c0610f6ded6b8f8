// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

func (w *world) serve() *call {
	return w.begin(context.Background(), "order", rpcServer, "shop.Order/Put")
}

// unrecorded plays a call whose trace a watched sampler drops.
func (w *world) unrecorded() *call {
	never := w.rec.TracerProvider("order", sdktrace.WithSampler(w.rec.Sampler(sdktrace.NeverSample())))
	kept := w.tracers["order"]
	w.tracers["order"] = never.Tracer("")
	defer func() { w.tracers["order"] = kept }()
	return w.serve().end("OK")
}

// observe counts a call without an exemplar.
func (c *call) observe(values ...string) {
	c.w.histogram(c.service, c.kind).WithLabelValues(values...).Observe(c.took.Seconds())
}

var callBreaches = []breach{
	{
		name: "no line", rule: telemetrytest.CallLine,
		play: func(w *world) { w.serve().end("OK").count() },
		want: []string{`"shop.Order/Put" of order`, "no request log line", "rpc server"},
	},
	{
		name: "no line in a sink for all", rule: telemetrytest.CallLine,
		play: func(w *world) {
			w.rec.LogHandler("")
			w.begin(context.Background(), "batch", rpcServer, "shop.Order/Put").end("OK")
		},
		want: []string{`"shop.Order/Put" of batch`, "no request log line"},
	},
	{
		name: "no line at all", rule: telemetrytest.CallLine,
		play: func(w *world) {
			w.rec.LogHandler("batch")
			w.begin(context.Background(), "batch", rpcServer, "shop.Order/Put").end("OK")
		},
		want: []string{`"shop.Order/Put" of batch`, "no request log line"},
	},
	{
		name: "two lines", rule: telemetrytest.CallLine,
		play: func(w *world) { w.serve().end("OK").line().line().count() },
		want: []string{"2 request log lines"},
	},
	{
		name: "line of another kind", rule: telemetrytest.CallLine,
		play: func(w *world) {
			c := w.serve().end("OK").count()
			w.logger("order").InfoContext(c.ctx, "rpc client call", c.ids()...)
			c.line()
		},
		want: []string{"is no rpc client call"},
		also: []telemetrytest.Rule{telemetrytest.CallLine},
	},
	{
		name: "another code", rule: telemetrytest.CallFields,
		play: func(w *world) { c := w.serve().end("OK").count(); c.lineWith("INTERNAL", c.ms()) },
		want: []string{`rpc.response.status_code="OK"`, `its line "INTERNAL"`},
	},
	{
		name: "another method", rule: telemetrytest.CallFields,
		play: func(w *world) {
			c := w.serve().end("OK").count()
			c.values = []string{"shop.Order/Get"}
			c.line()
		},
		want: []string{`rpc.method="shop.Order/Put"`, `its line "shop.Order/Get"`},
	},
	{
		name: "another error type", rule: telemetrytest.CallFields,
		play: func(w *world) {
			c := w.serve()
			c.span.SetAttributes(attribute.String("error.type", "timeout"))
			c.finish("DEADLINE_EXCEEDED")
		},
		want: []string{`error.type="timeout"`, `its line ""`},
	},
	{
		name: "another duration", rule: telemetrytest.CallDuration,
		play: func(w *world) { c := w.serve().end("OK").count(); c.lineWith("OK", c.ms()+0.0011) },
		want: []string{"took 1ms", "its line says 1.0011ms"},
	},
	{
		name: "duration in whole text", rule: telemetrytest.CallDuration,
		play: func(w *world) {
			c := w.serve().end("OK").count()
			w.logger("order").InfoContext(c.ctx, c.kind.Message, append(c.ids(),
				"rpc.method", "shop.Order/Put", "rpc.response.status_code", "OK", "duration_ms", "1ms")...)
		},
		want: []string{`duration_ms of a request log line is "1ms"`},
	},
	{
		name: "not counted", rule: telemetrytest.CallCount,
		play: func(w *world) { w.serve().end("OK").line() },
		want: []string{"rpc server call shop.Order/Put OK of order", "0 in rpc_server_call_duration_seconds", "1 call"},
	},
	{
		name: "counted twice", rule: telemetrytest.CallCount,
		play: func(w *world) { w.serve().end("OK").line().count().count() },
		want: []string{"shop.Order/Put OK", "2 in", "1 call as"},
	},
	{
		name: "counted under another code", rule: telemetrytest.CallCount,
		play: func(w *world) { w.serve().end("OK").line().observe("shop.Order/Put", "INTERNAL") },
		want: []string{"shop.Order/Put INTERNAL", "1 in", "0 calls"},
	},
	{
		name: "counted by another service", rule: telemetrytest.CallCount,
		play: func(w *world) {
			c := w.serve().end("OK").line()
			c.service = "gateway"
			c.observe("shop.Order/Put", "OK")
		},
		want: []string{"of gateway", "1 in", "0 calls"},
	},
	{
		name: "attempt not counted", rule: telemetrytest.CallCount,
		play: func(w *world) { w.begin(context.Background(), "order", rpcAttempt, "shop.Order/Put").end("OK") },
		want: []string{"rpc client attempt shop.Order/Put OK of order", "0 in", "1 call as"},
	},
	{
		name: "attempt counted twice", rule: telemetrytest.CallCount,
		play: func(w *world) {
			w.begin(context.Background(), "order", rpcAttempt, "shop.Order/Put").end("OK").count().count()
		},
		want: []string{"2 in", "1 call as"},
	},
	{
		name: "attempt not counted, with others unsampled", rule: telemetrytest.CallCount,
		play: func(w *world) {
			w.unrecorded().line().observe("shop.Order/Put", "OK")
			w.begin(context.Background(), "order", rpcAttempt, "shop.Order/Put").end("OK")
		},
		want: []string{"0 in", "1 call as"},
	},
	{
		name: "unsampled and not counted", rule: telemetrytest.CallCount,
		play: func(w *world) { w.unrecorded().line() },
		want: []string{"shop.Order/Put OK", "0 in", "1 call as"},
	},
}

var callAllowances = []allowance{
	{
		name: "unsampled",
		play: func(w *world) { w.unrecorded().line().observe("shop.Order/Put", "OK") },
	},
	{
		name: "unsampled attempt",
		play: func(w *world) {
			w.unrecorded().line().observe("shop.Order/Put", "OK")
			c := w.begin(context.Background(), "order", rpcAttempt, "shop.Order/Put").end("OK").count()
			c.observe("shop.Order/Put", "OK") // the unsampled one
		},
	},
	{
		name: "dropped by one service and kept by another",
		play: func(w *world) {
			never := w.rec.TracerProvider("batch", sdktrace.WithSampler(w.rec.Sampler(sdktrace.NeverSample())))
			ctx, span := never.Tracer("").Start(context.Background(), "job")
			kept := w.rec.TracerProvider("order", sdktrace.WithSampler(sdktrace.AlwaysSample()))
			w.tracers["order"] = kept.Tracer("")
			w.begin(ctx, "order", rpcServer, "shop.Order/Put").finish("OK")
			span.End()
		},
		opts: []telemetrytest.Option{telemetrytest.ExternalFunc(func(trace.SpanContext) bool { return true })},
	},
	{
		name: "one registry for all",
		play: func(w *world) {
			w.histogram("", w.kinds[rpcServer])
			w.serve().finish("OK")
			c := w.begin(context.Background(), "payment", rpcServer, "shop.Order/Put").end("OK").line()
			c.service = ""
			c.count()
		},
	},
	{
		name: "duration rounded",
		play: func(w *world) { c := w.serve().end("OK").count(); c.lineWith("OK", c.ms()+0.0009) },
	},
	{
		name: "larger tolerance",
		play: func(w *world) { c := w.serve().end("OK").count(); c.lineWith("OK", c.ms()+3) },
		opts: []telemetrytest.Option{telemetrytest.WithTolerance(3 * time.Millisecond)},
	},
	{
		name: "quiet method",
		play: func(w *world) { w.serve().end("OK").count() },
		opts: []telemetrytest.Option{telemetrytest.Unlogged(func(s *telemetrytest.Span) bool { return s.Name == "shop.Order/Put" })},
	},
	{
		name: "service without a log sink",
		play: func(w *world) {
			w.begin(context.Background(), "payment", rpcServer, "shop.Order/Put").end("OK").count()
		},
	},
	{
		name: "service without a registry",
		play: func(w *world) { w.begin(context.Background(), "payment", rpcServer, "shop.Order/Put").end("OK").line() },
	},
	{
		name: "attempt",
		play: func(w *world) { w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put").end("OK") },
		opts: []telemetrytest.Option{telemetrytest.NotACall(func(s *telemetrytest.Span) bool { return s.Name == "shop.Order/Put" })},
	},
	{
		name: "values past a limit",
		play: func(w *world) {
			w.serve().finish("OK")
			for range 3 {
				w.begin(context.Background(), "order", rpcServer, "shop.Order/Rare").end("OK").line().observe("_OTHER", "OK")
			}
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Rarest").end("OK").line()
			labels := exemplarOf(c)
			c.values = []string{"_OTHER"}
			c.countWith(c.took.Seconds(), labels)
		},
	},
}
