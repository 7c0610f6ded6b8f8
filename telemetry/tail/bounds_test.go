// SPDX-License-Identifier: Apache-2.0

package tail_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

func TestMaxTracesDecidesTheOldestEarly(t *testing.T) {
	r := newRig(t, tail.WithMaxTraces(3), tail.WithRatio(0.5)) // even traces are in the ratio
	var roots []trace.Span
	for n := range uint64(5) {
		ctx, root := r.start(remote(t, n), fmt.Sprint("root ", n))
		_, child := r.start(ctx, fmt.Sprint("child ", n))
		child.End()
		roots = append(roots, root)
	}
	r.passed("child 0") // traces 0 and 1 had to be decided, 1 is not in the ratio
	r.stats(tail.Stats{Ratio: 1, Dropped: 1, Early: 2, Traces: 3, Spans: 3})
	roots[0].End()
	roots[1].End()
	r.passed("child 0", "root 0")
	r.stats(tail.Stats{Ratio: 1, Dropped: 1, Early: 2, SpansLate: 1, Traces: 3, Spans: 3})
}

func TestMaxSpansPerTraceDropsTheRestUnlessItMatters(t *testing.T) {
	r := newRig(t, tail.WithMaxSpansPerTrace(2))
	ctx, root := r.start(remote(t, 1), "root")
	for n := range 5 {
		_, child := r.start(ctx, fmt.Sprint("child ", n))
		child.End()
	}
	r.stats(tail.Stats{SpansOverLimit: 3, Traces: 1, Spans: 2})
	_, bad := r.start(ctx, "bad")
	fail(bad)
	root.End()
	r.passed("child 0", "child 1", "bad", "root")
	r.stats(tail.Stats{Error: 1, SpansOverLimit: 3})
}

func TestMaxSpansDecidesTheOldestEarly(t *testing.T) {
	r := newRig(t, tail.WithMaxSpans(4))
	var roots []trace.Span
	for n := range uint64(3) {
		ctx, root := r.start(remote(t, n), "root")
		for range 2 {
			_, child := r.start(ctx, fmt.Sprint("child of ", n))
			child.End()
		}
		roots = append(roots, root)
	}
	r.stats(tail.Stats{Dropped: 1, Early: 1, Traces: 2, Spans: 4})
	for _, root := range roots {
		fail(root)
	}
	// The first trace lost its children to the bound, its failed root is there.
	r.passed("root", "child of 1", "child of 1", "root", "child of 2", "child of 2", "root")
	r.stats(tail.Stats{Error: 2, Dropped: 1, Early: 1, Revived: 1})
}

func TestDecisionsAreForgottenLeastRecentlyUsedFirst(t *testing.T) {
	r := newRig(t, tail.WithMaxDecisions(2))
	late := make([]func(), 3)
	for n := range uint64(3) {
		ctx, root := r.start(remote(t, 2*n+1), "kept")
		fail(root)
		late[n] = func() {
			_, s := r.start(ctx, fmt.Sprint("late of ", n))
			s.End()
		}
		if n == 1 {
			late[0]() // used again: now 1 is the oldest
		}
	}
	late[0]()
	late[1]()
	late[2]()
	r.passed("kept", "kept", "late of 0", "kept", "late of 0", "late of 2")
}

func TestNeverEndedSpansDoNotPileUp(t *testing.T) {
	p, err := tail.New(sdktrace.NewSimpleSpanProcessor(nil),
		tail.WithMaxTraces(100), tail.WithMaxSpans(500), tail.WithMaxSpansPerTrace(10))
	if err != nil {
		t.Fatal(err)
	}
	tracer := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(tail.Head(sdktrace.NeverSample())), sdktrace.WithSpanProcessor(p)).Tracer("test")
	grow := func(n int) uint64 {
		for range n {
			ctx, _ := tracer.Start(t.Context(), "never ends")
			for range 20 {
				_, child := tracer.Start(ctx, "child")
				child.End()
			}
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := grow(500)
	second := grow(2000)
	if second > first+1<<20 {
		t.Errorf("heap grew from %d to %d bytes with four times the traces", first, second)
	}
	if got := p.Stats(); got.Traces > 100 || got.Spans > 500 {
		t.Errorf("%d traces and %d spans held, want at most 100 and 500", got.Traces, got.Spans)
	}
}

func TestConcurrentTracesAreKeptWholeOrNotAtAll(t *testing.T) {
	const workers, each, children = 8, 150, 6
	r := newRig(t)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				ctx, root := r.start(t.Context(), "root")
				var spans sync.WaitGroup
				for c := range children { // spans of one trace on many goroutines
					spans.Go(func() {
						_, child := r.start(ctx, "child")
						if (w+i)%3 == 0 && c == i%children {
							fail(child)
							return
						}
						child.End()
					})
				}
				spans.Wait()
				root.End()
			}
		})
	}
	wg.Wait()
	perTrace := make(map[trace.TraceID][]sdktrace.ReadOnlySpan)
	for _, s := range r.next.Ended() {
		perTrace[s.SpanContext().TraceID()] = append(perTrace[s.SpanContext().TraceID()], s)
	}
	for id, spans := range perTrace {
		if len(spans) != children+1 {
			t.Errorf("trace %v has spans %q, want %d", id, names(spans), children+1)
		}
	}
	if len(perTrace) != workers*each/3 {
		t.Errorf("%d traces kept, want %d", len(perTrace), workers*each/3)
	}
	r.stats(tail.Stats{Error: workers * each / 3, Dropped: workers * each * 2 / 3})
}

func TestRulesMayStartSpans(t *testing.T) {
	// Rules are the user's code: they run outside of the lock.
	var r *rig
	r = newRig(t, tail.WithMaxTraces(1), tail.WithRule(func(s sdktrace.ReadOnlySpan) tail.Verdict {
		if s.Name() == "outer" {
			_, inner := r.start(t.Context(), "inner")
			inner.End()
		}
		return tail.NoOpinion
	}))
	_, a := r.start(t.Context(), "outer")
	_, b := r.start(t.Context(), "outer") // evicts the first: its rule runs on start
	a.End()
	b.End()
	r.passed()
}

func BenchmarkUnsampledSpan(b *testing.B) {
	for _, withTail := range []bool{false, true} {
		b.Run(fmt.Sprint("tail=", withTail), func(b *testing.B) {
			opts := []sdktrace.TracerProviderOption{sdktrace.WithSampler(tail.Head(sdktrace.NeverSample()))}
			if withTail {
				p, err := tail.New(sdktrace.NewSimpleSpanProcessor(nil))
				if err != nil {
					b.Fatal(err)
				}
				opts = append(opts, sdktrace.WithSpanProcessor(p))
			}
			tracer := sdktrace.NewTracerProvider(opts...).Tracer("bench")
			b.ReportAllocs()
			for b.Loop() {
				_, s := tracer.Start(b.Context(), "span")
				s.End()
			}
		})
	}
}
