// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// counting gives ids in order: the first trace is the one of the strange ids.
type counting struct{ n atomic.Uint64 }

func withIDs(g *counting) sdktrace.TracerProviderOption { return sdktrace.WithIDGenerator(g) }

func (g *counting) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	return strange().TraceID(), g.NewSpanID(ctx, trace.TraceID{})
}

func (g *counting) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	n := g.n.Add(1)
	return trace.SpanID{6: byte(n >> 8), 7: byte(n)}
}

func TestLogHandlerIsAHandler(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	err := slogtest.TestHandler(rec.LogHandler("order"), func() []map[string]any {
		var all []map[string]any
		for _, l := range rec.Run(t).Logs().All() {
			var m map[string]any
			if err := json.Unmarshal([]byte(l.Raw), &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDerivedLoggers guards what one logger was given from those derived beside it.
func TestDerivedLoggers(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	base := slog.New(rec.LogHandler("order")).With("a", 1).With("b", 2).With("c", 3)
	one, two := base.With("d", "one"), base.With("d", "two")
	one.Info("")
	two.Info("")
	for i, want := range []string{"one", "two"} {
		if got, _ := rec.Run(t).Logs().All()[i].Attr("d"); got != want {
			t.Errorf("line %d has d=%v, want %s", i, got, want)
		}
	}
}

func TestLogHandlerLevel(t *testing.T) {
	h := telemetrytest.NewRecorder().LogHandler("order")
	if h.Enabled(t.Context(), slog.LevelDebug-1) || !h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the handler is not enabled from debug level on")
	}
}

func TestServiceOfALine(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	fmt.Fprintln(rec.LogWriter("sink"), `{"msg":"one"}`)
	fmt.Fprintln(rec.LogWriter("sink"), `{"msg":"two","service.name":"own"}`)
	fmt.Fprint(rec.LogWriter(""), "{\"msg\":\"three\"}\n{\"msg\":\"four\"}\n")
	var got []string
	for _, l := range rec.Run(t).Logs().All() {
		got = append(got, l.Service+" "+l.Message)
	}
	if diff := cmp.Diff([]string{"sink one", "own two", " three", " four"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLogFormat(t *testing.T) {
	rec := telemetrytest.NewRecorder(telemetrytest.WithLogFormat(telemetrytest.LogFormat{
		Message: "message", Level: "severity", TraceID: "traceId", SpanID: "spanId", Service: "app",
	}))
	fmt.Fprintln(rec.LogWriter("sink"), `{"message":"hello","severity":"warn","traceId":"a","spanId":"b","app":"order"}`)
	l := rec.Run(t).Logs().All()[0]
	got := []string{l.Message, l.Level, l.TraceID, l.SpanID, l.Service}
	if diff := cmp.Diff([]string{"hello", "warn", "a", "b", "order"}, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	tracer := rec.TracerProvider("order").Tracer("")
	handler := slog.New(rec.LogHandler("order"))
	out := rec.LogWriter("order")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				ctx, span := tracer.Start(context.Background(), "work")
				sc := span.SpanContext()
				handler.InfoContext(ctx, "a", "trace_id", sc.TraceID().String(), "span_id", sc.SpanID().String())
				fmt.Fprintf(out, "{\"msg\":\"b\",\"trace_id\":%q,\"span_id\":%q}\n", sc.TraceID(), sc.SpanID())
				rec.Run(nil).Traces()
				span.End()
			}
		})
	}
	wg.Wait()
	run := rec.Run(t)
	telemetrytest.Check(t, run)
	if got := []int{len(run.Spans()), run.Logs().Len(), run.Traces().Len()}; !cmp.Equal(got, []int{400, 800, 400}) {
		t.Errorf("spans, lines, traces: %v", got)
	}
}

// TestMemoryIsBounded sends more than the limits, and finds no more than them.
func TestMemoryIsBounded(t *testing.T) {
	rec := telemetrytest.NewRecorder(telemetrytest.WithMaxSpans(10), telemetrytest.WithMaxLines(10))
	w := &world{rec: rec, tracers: map[string]trace.Tracer{}, loggers: map[string]*slog.Logger{}}
	for range 1000 {
		w.spanAt(context.Background(), "work", 0, 1)
		w.logger("order").Info("work")
	}
	run := rec.Run(t)
	if len(run.Spans()) != 10 || run.Logs().Len() != 10 {
		t.Errorf("%d spans and %d lines kept, want 10 each", len(run.Spans()), run.Logs().Len())
	}
}

func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.request() // so that the service has a log sink and a registry to wait for
		c := w.serve()
		go func() {
			time.Sleep(time.Second)
			c.end("OK")
			time.Sleep(time.Second)
			c.line().count()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := w.rec.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited < 2*time.Second || waited > 3*time.Second {
			t.Errorf("waited %s, want the two seconds until the line and a little", waited)
		}
		telemetrytest.Check(t, w.rec.Run(t))
	})
}

func TestSettleGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.serve()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.rec.Settle(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v, want that the time is up", err)
		}
	})
}

// TestProviderKeepsTheParentsDecision: services under test must sample as they
// would in production, by their parent.
func TestProviderKeepsTheParentsDecision(t *testing.T) {
	rec := telemetrytest.NewRecorder()
	unsampled := strange().WithTraceFlags(0)
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), unsampled)
	_, span := rec.TracerProvider("order").Tracer("").Start(ctx, "quiet")
	if span.IsRecording() || len(rec.Run(t).Spans()) != 0 {
		t.Error("a trace that the caller did not sample is recorded")
	}
}

func TestMisuse(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func()
		want string
	}{
		{"no room for spans", func() { telemetrytest.NewRecorder(telemetrytest.WithMaxSpans(0)) }, "WithMaxSpans is 0: must be at least 1"},
		{"no room for lines", func() { telemetrytest.NewRecorder(telemetrytest.WithMaxLines(-1)) }, "WithMaxLines is -1: must be at least 1"},
		{"no sampler", func() { telemetrytest.NewRecorder().Sampler(nil) }, "nil sampler"},
		{"no gatherer", func() { telemetrytest.NewRecorder().AddMetrics("", nil) }, "nil gatherer"},
		{"unknown rule", func() { telemetrytest.Without("span-enden") }, `no rule "span-enden"`},
		{"unknown rule alone", func() { telemetrytest.Only("span-enden") }, `no rule "span-enden"`},
		{"call without keys", func() { telemetrytest.WithCalls(telemetrytest.CallKind{Name: "query"}) }, "Keys of query is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, tc.want) || !strings.HasPrefix(got, "telemetrytest: ") {
					t.Errorf("got panic %q, want one with %q", got, tc.want)
				}
			}()
			tc.do()
		})
	}
}
