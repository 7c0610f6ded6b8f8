// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// Ids that no tracer made.
const (
	strangeTrace = "0af7651916cd43dd8448eb211c80319c"
	strangeSpan  = "b7ad6b7169203331"
)

// strange is the span of a process that nobody records.
func strange() trace.SpanContext {
	tid, _ := trace.TraceIDFromHex(strangeTrace)
	sid, _ := trace.SpanIDFromHex(strangeSpan)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: trace.FlagsSampled, Remote: true})
}

func fromStranger() context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), strange())
}

// spanAt plays a span with its own clock.
func (w *world) spanAt(ctx context.Context, name string, start, end time.Duration) context.Context {
	ctx, span := w.tracer("order").Start(ctx, name, trace.WithTimestamp(w.now.Add(start)))
	span.End(trace.WithTimestamp(w.now.Add(end)))
	return ctx
}

var spanBreaches = []breach{
	{
		name: "too many spans", rule: telemetrytest.RunComplete,
		play: func(w *world) {
			for range 60 {
				w.spanAt(context.Background(), "one of many", 0, 1)
			}
		},
		want: []string{"no room for 15 spans", "WithMaxSpans"},
	},
	{
		name: "too many lines", rule: telemetrytest.RunComplete,
		play: func(w *world) {
			for range 60 {
				w.logger("order").Info("one of many")
			}
		},
		opts: []telemetrytest.Option{telemetrytest.Uncorrelated("one of many")},
		want: []string{"no room for 15 log lines", "WithMaxLines"},
	},
	{
		name: "broken registry", rule: telemetrytest.RunComplete,
		play: func(w *world) {
			w.rec.AddMetrics("payment", prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
				return nil, errors.New("collector is away")
			}))
		},
		want: []string{"metrics of payment", "collector is away"},
	},
	{
		name: "left open", rule: telemetrytest.SpanEnded,
		play: func(w *world) { w.tracer("order").Start(context.Background(), "forgotten") },
		want: []string{`"forgotten" of order`, "never ended"},
	},
	{
		name: "same id twice", rule: telemetrytest.SpanOnce,
		play: func(w *world) {
			ids := sdktrace.WithIDGenerator(stuckIDs{})
			for _, name := range []string{"twin", "other"} {
				_, span := w.rec.TracerProvider("order", ids).Tracer("").Start(context.Background(), name)
				span.End()
			}
		},
		want: []string{`"twin"`, "2 spans were started", strangeSpan},
	},
	{
		name: "ended twice", rule: telemetrytest.SpanOnce,
		play: func(w *world) {
			// Ending twice through the SDK is ignored; another SDK may not.
			var ended sdktrace.ReadOnlySpan
			catch := sdktrace.WithSpanProcessor(endFunc(func(s sdktrace.ReadOnlySpan) { ended = s }))
			_, span := w.rec.TracerProvider("order", catch).Tracer("").Start(context.Background(), "once more")
			span.End()
			w.rec.SpanProcessor().OnEnd(ended)
		},
		want: []string{`"once more"`, "ended 2 times"},
	},
	{
		name: "ends before it starts", rule: telemetrytest.SpanTimes,
		play: func(w *world) { w.spanAt(context.Background(), "backwards", time.Second, 0) },
		want: []string{`"backwards"`, "ended 1s before it started"},
	},
	{
		name: "starts before its parent", rule: telemetrytest.SpanTimes,
		play: func(w *world) {
			ctx := w.spanAt(context.Background(), "parent", time.Second, 2*time.Second)
			w.spanAt(ctx, "hasty", 0, time.Second)
		},
		want: []string{`"hasty"`, "1s before its parent", `"parent"`},
	},
	{
		name: "orphan", rule: telemetrytest.SpanParent,
		play: func(w *world) { w.spanAt(fromStranger(), "lost child", 0, 1) },
		want: []string{`"lost child" of order`, "parent " + strangeSpan, strangeTrace, "came with a call"},
	},
}

var spanAllowances = []allowance{
	{
		name: "child outlives its parent",
		play: func(w *world) {
			ctx := w.spanAt(context.Background(), "parent", 0, time.Second)
			w.spanAt(ctx, "background", time.Second, time.Minute)
		},
	},
	{
		name: "trace from outside",
		play: func(w *world) { w.spanAt(fromStranger(), "entry", 0, 1) },
		opts: []telemetrytest.Option{telemetrytest.External(strangeTrace)},
	},
	{
		name: "span from outside",
		play: func(w *world) { w.spanAt(fromStranger(), "entry", 0, 1) },
		opts: []telemetrytest.Option{telemetrytest.External(strangeSpan)},
	},
	{
		name: "spans from outside by rule",
		play: func(w *world) { w.spanAt(fromStranger(), "entry", 0, 1) },
		opts: []telemetrytest.Option{telemetrytest.ExternalFunc(trace.SpanContext.IsRemote)},
	},
}

// stuckIDs gives every span the same ids.
type stuckIDs struct{}

func (stuckIDs) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return strange().TraceID(), strange().SpanID()
}

func (stuckIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return strange().SpanID() }

// endFunc is a span processor that only looks at the end.
type endFunc func(sdktrace.ReadOnlySpan)

func (endFunc) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (f endFunc) OnEnd(s sdktrace.ReadOnlySpan)                 { f(s) }
func (endFunc) Shutdown(context.Context) error                  { return nil }
func (endFunc) ForceFlush(context.Context) error                { return nil }
