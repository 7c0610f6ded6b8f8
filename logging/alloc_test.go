// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/logging"
)

// TestAllocations holds the cost section of the package comment: allocations
// beyond those of the inner handler, which has none for these records.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := newRequest(t)
	s.CorrelationID = "caller-7"
	crowded := newRequest(t)
	crowded.Add(slog.String("order_id", "o-1"), slog.Int("tenant", 7))
	idsOnly := newRequest(t)
	spanOnly := trace.ContextWithSpanContext(context.Background(), spanContext(t, testTrace, testSpan))
	inner := slog.NewJSONHandler(io.Discard, nil)
	h := logging.NewHandler(inner, logging.WithService("order", "1.2.3", "order-1"))
	log := slog.New(h)
	with := log.With("part", "stock")
	group := log.WithGroup("db").With("table", "t")
	sampler := newSampler(t, time.Hour, 1, 0)
	throttled := slog.New(logging.NewHandler(inner, logging.WithSampler(sampler)))
	err := errors.New("an error")
	header := http.Header{"Accept": {"a", "b"}, "Content-Type": {"c"}}

	complete := slog.NewRecord(time.Now(), slog.LevelInfo, "rpc server call", 0)
	complete.AddAttrs(
		slog.String("trace_id", testTrace), slog.String("span_id", testSpan),
		slog.String("rpc.method", "pkg.Service/Method"), slog.String("code", "OK"),
		slog.Int64("duration_ms", 1), slog.String("peer", "10.0.0.1:1234"),
		slog.Int64("request_bytes", 100), slog.Int64("response_bytes", 1000), slog.String("request_id", "r"),
	)

	three := func(l *slog.Logger, ctx context.Context) func() {
		return func() {
			l.LogAttrs(ctx, slog.LevelInfo, "reserved", slog.String("sku", "a-1"), slog.Int("rows", 2), slog.Bool("ok", true))
		}
	}
	for _, tc := range []struct {
		name string
		max  float64
		log  func()
	}{
		{"bare", 0, three(slog.New(inner), s)},
		{"below the level", 0, func() { log.LogAttrs(s, slog.LevelDebug, "m", slog.Int("a", 1)) }},
		{"no context", 0, three(log, context.Background())},
		{"ids", 0, three(log, idsOnly)},
		{"ids and caller's id", 1, three(log, s)},
		{"ids and request attributes", 1, three(log, crowded)},
		{"ids of a span without a request", 1, three(log, spanOnly)},
		{"logger with attributes", 1, three(with, s)},
		{"open group", 1, three(group, s)},
		{"complete record", 0, func() { _ = h.Handle(idsOnly, complete) }},
		{"group attribute", 1, func() { // the group itself
			log.LogAttrs(idsOnly, slog.LevelInfo, "m", slog.GroupAttrs("g", slog.Int("a", 1), slog.String("b", "c")))
		}},
		{"error", 0, func() { log.LogAttrs(idsOnly, slog.LevelInfo, "m", slog.Any("err", err)) }},
		{"dropped repeat", 0, three(throttled, s)},
	} {
		if got := testing.AllocsPerRun(100, tc.log); got > tc.max {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.max)
		}
	}

	r := newRedactor(t)
	for _, a := range []slog.Attr{
		slog.String("user", "u"), slog.Int("token_count", 1), slog.Group("g", "a", 1, "b", "c"),
		slog.Any("header", header), slog.Any("err", err), slog.Any("ints", []int{1, 2}),
	} {
		if got := testing.AllocsPerRun(100, func() { _ = r.Attr(a) }); got > 0 {
			t.Errorf("redactor, %v: %v allocations, want none", a, got)
		}
	}
	if got := testing.AllocsPerRun(100, func() { _ = r.Query("a=1&b=2") }); got > 0 {
		t.Errorf("redactor, query: %v allocations, want none", got)
	}
}

func BenchmarkHandler(b *testing.B) {
	s := newRequest(b)
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "reserved", 0)
	record.AddAttrs(slog.String("sku", "a-1"), slog.Int("rows", 2), slog.Bool("ok", true))
	complete := slog.NewRecord(time.Now(), slog.LevelInfo, "rpc server call", 0)
	complete.AddAttrs(
		slog.String("trace_id", testTrace), slog.String("span_id", testSpan),
		slog.String("rpc.method", "pkg.Service/Method"), slog.String("code", "OK"),
		slog.Int64("duration_ms", 1), slog.String("peer", "10.0.0.1:1234"),
		slog.Int64("request_bytes", 100), slog.Int64("response_bytes", 1000), slog.String("request_id", "r"),
	)
	sampler, err := logging.NewSampler(time.Second, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name   string
		h      slog.Handler
		record slog.Record
	}{
		{"bare", discard{}, record},
		{"ids", logging.NewHandler(discard{}), record},
		{"sampled", logging.NewHandler(discard{}, logging.WithSampler(sampler)), record},
		{"complete", logging.NewHandler(discard{}), complete},
		{"json bare", slog.NewJSONHandler(io.Discard, nil), record},
		{"json ids", logging.NewHandler(slog.NewJSONHandler(io.Discard, nil)), record},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = bc.h.Handle(s, bc.record)
			}
		})
	}
}
