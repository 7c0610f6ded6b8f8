// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"fmt"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// write writes raw text to a log sink of the order service, which already has a
// span to be correlated with.
func (w *world) write(format string, args ...any) {
	c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
	c.finish("OK")
	ids := c.ids()
	id := fmt.Sprintf(`"trace_id":%q,"span_id":%q`, ids[1], ids[3])
	fmt.Fprintf(w.rec.LogWriter("order"), format, append([]any{id}, args...)...)
}

var logBreaches = []breach{
	{
		name: "not JSON", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write("%.0splain text\n") },
		want: []string{"no JSON object", "plain text", "of order"},
	},
	{
		name: "not an object", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write("[%.0s1]\n") },
		want: []string{"JSON, but not an object"},
	},
	{
		name: "empty line", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write("{%s}\n\n") },
		want: []string{"it is empty"},
	},
	{
		name: "unfinished line", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write(`{%s}`) },
		want: []string{"not finished"},
	},
	{
		name: "raw escape character", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write("{%s,\"user\":\"\x7f\"}\n") },
		want: []string{"control character U+007F"},
	},
	{
		name: "invalid UTF-8", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write("{%s,\"user\":\"\xff\"}\n") },
		want: []string{"byte 0xff", "not UTF-8"},
	},
	{
		name: "escaped escape character", rule: telemetrytest.LogLine,
		play: func(w *world) { w.write(`{%s,"path":"C:\\u","user":"\u001b[2J"}` + "\n") },
		want: []string{"escaped control character U+001B"},
	},
	{
		name: "key twice at the root", rule: telemetrytest.LogKeys,
		play: func(w *world) { w.write(`{%s,"user":1,"other":2,"user":3}` + "\n") },
		want: []string{"user twice"},
	},
	{
		name: "key twice inside", rule: telemetrytest.LogKeys,
		play: func(w *world) { w.write(`{%s,"user":{"list":[0,{"id":1,"id":2}]}}` + "\n") },
		want: []string{"user.list[1].id twice"},
	},
	{
		name: "no ids", rule: telemetrytest.LogCorrelated,
		play: func(w *world) { w.logger("order").Info("lost") },
		want: []string{"no trace_id", "of order", `"msg":"lost"`},
	},
	{
		name: "no span id", rule: telemetrytest.LogCorrelated,
		play: func(w *world) {
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			w.logger("order").InfoContext(c.ctx, "half", c.ids()[:2]...)
			c.finish("OK")
		},
		want: []string{"no span_id"},
	},
	{
		name: "ids in a group", rule: telemetrytest.LogCorrelated,
		play: func(w *world) {
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			w.logger("order").WithGroup("request").InfoContext(c.ctx, "deep", c.ids()...)
			c.finish("OK")
		},
		want: []string{"trace_id inside of a group"},
	},
	{
		name: "no id but the word", rule: telemetrytest.LogCorrelated,
		play: func(w *world) { w.logger("order").Info("odd", "trace_id", "None", "span_id", "0000000000000000") },
		want: []string{`"None"`, "32 lower-case hex digits"},
		also: []telemetrytest.Rule{telemetrytest.LogKnownID},
	},
	{
		name: "ids of nobody", rule: telemetrytest.LogCorrelated,
		play: func(w *world) {
			c := w.serve()
			c.finish("OK")
			w.logger("order").Info("odd", "trace_id", c.ids()[1], "span_id", "0000000000000000")
		},
		want: []string{"span_id", "all zeros"},
		also: []telemetrytest.Rule{telemetrytest.LogKnownID},
	},
	{
		name: "in a request, without its ids", rule: telemetrytest.LogCorrelated,
		play: func(w *world) {
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			w.logger("order").InfoContext(c.ctx, "lost")
			c.finish("OK")
		},
		opts: []telemetrytest.Option{telemetrytest.UncorrelatedOutsideRequests()},
		want: []string{"no trace_id"},
	},
	{
		name: "foreign trace", rule: telemetrytest.LogKnownID,
		play: func(w *world) { w.logger("order").Info("hello", "trace_id", strangeTrace, "span_id", strangeSpan) },
		want: []string{"trace " + strangeTrace, "not in the run"},
	},
	{
		name: "foreign span", rule: telemetrytest.LogKnownID,
		play: func(w *world) {
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			c.finish("OK")
			w.logger("order").Info("hello", "trace_id", c.ids()[1], "span_id", strangeSpan)
		},
		want: []string{"span " + strangeSpan, "not in trace"},
	},
	{
		name: "span of another trace", rule: telemetrytest.LogKnownID,
		play: func(w *world) {
			a := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			a.finish("OK")
			b := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			b.finish("OK")
			w.logger("order").Info("mixed", "trace_id", a.ids()[1], "span_id", b.ids()[3])
		},
		want: []string{"belongs to trace"},
	},
	{
		name: "foreign request log line", rule: telemetrytest.LogKnownID,
		play: func(w *world) {
			w.logger("order").Info("rpc server call", "trace_id", strangeTrace, "span_id", strangeSpan, "rpc.method", "shop.Order/Put")
		},
		want: []string{"not in the run"},
	},
	{
		name: "ids of the caller", rule: telemetrytest.LogContext,
		play: func(w *world) {
			out := w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put")
			in := w.begin(out.ctx, "order", rpcServer, "shop.Order/Put")
			w.logger("order").InfoContext(in.ctx, "stale", out.ids()...)
			in.finish("OK")
			out.finish("OK")
		},
		want: []string{"logged with the context of", "names others"},
	},
	{
		name: "trace of the request before", rule: telemetrytest.LogContext,
		play: func(w *world) {
			a, b := w.serve(), w.serve()
			w.logger("order").InfoContext(b.ctx, "stale", a.ids()[:2]...)
			b.finish("OK")
			a.finish("OK")
		},
		want: []string{"logged with the context of", "names others"},
		also: []telemetrytest.Rule{telemetrytest.LogCorrelated},
	},
	{
		name: "ids of the request before", rule: telemetrytest.LogContext,
		play: func(w *world) {
			a := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			a.finish("OK")
			b := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			w.logger("order").InfoContext(b.ctx, "stale", a.ids()...)
			b.finish("OK")
		},
		want: []string{"logged with the context of", "names others"},
	},
}

var logAllowances = []allowance{
	{
		name: "stack with line feeds",
		play: func(w *world) { w.write(`{%s,"stack":"a\n\tb","path":"C:\\users"}` + "\n") },
	},
	{
		name: "line feeds by number",
		play: func(w *world) { w.write(`{%s,"stack":"a\u000a\u0009b"}` + "\n") },
	},
	{
		name: "line in two writes",
		play: func(w *world) {
			c := w.begin(context.Background(), "order", rpcServer, "shop.Order/Get")
			c.finish("OK")
			out := w.rec.LogWriter("order")
			fmt.Fprintf(out, `{"trace_id":%q,`, c.ids()[1])
			fmt.Fprintf(out, `"span_id":%q}`+"\n", c.ids()[3])
		},
	},
	{
		name: "same key in two groups",
		play: func(w *world) { w.write(`{%s,"id":1,"a":{"id":1},"b":[{"id":1},{"id":1}]}` + "\n") },
	},
	{
		name: "start-up",
		play: func(w *world) { w.logger("order").Info("listening") },
		opts: []telemetrytest.Option{telemetrytest.Uncorrelated("listening")},
	},
	{
		name: "outside of requests",
		play: func(w *world) { w.logger("order").Info("tick") },
		opts: []telemetrytest.Option{telemetrytest.UncorrelatedOutsideRequests()},
	},
	{
		name: "dropped by a watched sampler",
		play: func(w *world) {
			never := w.rec.TracerProvider("batch", sdktrace.WithSampler(w.rec.Sampler(sdktrace.NeverSample())))
			ctx, span := never.Tracer("").Start(context.Background(), "quiet")
			sc := span.SpanContext()
			slog.New(w.rec.LogHandler("batch")).InfoContext(ctx, "hello", "trace_id", sc.TraceID().String(), "span_id", sc.SpanID().String())
			span.End()
		},
	},
	{
		name: "declared unsampled",
		play: func(w *world) { w.logger("order").Info("hello", "trace_id", strangeTrace, "span_id", strangeSpan) },
		opts: []telemetrytest.Option{telemetrytest.Unsampled(strangeTrace)},
	},
	{
		name: "declared external",
		play: func(w *world) { w.logger("order").Info("hello", "trace_id", strangeTrace, "span_id", strangeSpan) },
		opts: []telemetrytest.Option{telemetrytest.External(strangeTrace)},
	},
}
