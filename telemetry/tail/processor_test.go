// SPDX-License-Identifier: Apache-2.0

package tail_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

func TestOrdinaryTracesAreDroppedAndForgotten(t *testing.T) {
	r := newRig(t)
	ctx, root := r.start(remote(t, 1), "server")
	_, child := r.start(ctx, "db")
	child.End()
	r.stats(tail.Stats{Traces: 1, Spans: 1})
	root.End()
	r.passed()
	r.stats(tail.Stats{Dropped: 1})
}

func TestAnErrorAnywhereKeepsTheWholeTrace(t *testing.T) {
	r := newRig(t)
	ctx, root := r.start(remote(t, 1), "server")
	_, before := r.start(ctx, "before")
	before.End()
	_, bad := r.start(ctx, "bad")
	r.passed()
	fail(bad)
	r.passed("before", "bad") // at once: there is nothing left to wait for
	_, after := r.start(ctx, "after")
	after.End()
	root.End()
	r.passed("before", "bad", "after", "server")
	r.stats(tail.Stats{Error: 1})
}

func TestAKeptSpanStaysWhatItWasButForTheFlag(t *testing.T) {
	r := newRig(t)
	parent := remote(t, 1)
	_, span := r.start(parent, "server", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.Int("n", 3)))
	if span.SpanContext().IsSampled() || !span.IsRecording() {
		t.Errorf("live span sampled %v, recording %v; want false for the peers' sake, and true",
			span.SpanContext().IsSampled(), span.IsRecording())
	}
	fail(span)
	got := r.next.Ended()[0]
	if got.SpanContext().TraceID() != span.SpanContext().TraceID() || got.SpanContext().SpanID() != span.SpanContext().SpanID() {
		t.Errorf("ids changed from %v to %v", span.SpanContext(), got.SpanContext())
	}
	if !got.Parent().Equal(trace.SpanContextFromContext(parent)) || got.SpanKind() != trace.SpanKindServer || len(got.Attributes()) != 1 {
		t.Errorf("parent, kind or attributes changed: %v %v %v", got.Parent(), got.SpanKind(), got.Attributes())
	}
}

func TestSlowIsAtLeastTheThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tail.WithSlow(300*time.Millisecond))
		_, fast := r.start(remote(t, 1), "fast")
		time.Sleep(300*time.Millisecond - 1)
		fast.End()
		_, slow := r.start(remote(t, 2), "slow")
		time.Sleep(300 * time.Millisecond)
		slow.End()
		r.passed("slow")
		r.stats(tail.Stats{Slow: 1, Dropped: 1})
	})
}

func TestZeroSlowKeepsNothingForBeingSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tail.WithSlow(0))
		_, span := r.start(remote(t, 1), "hour")
		time.Sleep(time.Hour)
		span.End()
		r.passed()
	})
}

func TestRatioIsThatOfTheHeadSampler(t *testing.T) {
	r := newRig(t, tail.WithRatio(0.5))
	head := sdktrace.TraceIDRatioBased(0.5)
	var want []string
	for n := range uint64(100) {
		ctx, root := r.start(remote(t, n), "root")
		_, child := r.start(ctx, "child")
		child.End()
		root.End()
		p := sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: root.SpanContext().TraceID()}
		if head.ShouldSample(p).Decision == sdktrace.RecordAndSample {
			want = append(want, "child", "root")
		}
	}
	if len(want) != 100 {
		t.Fatalf("the ids of this test are not spread evenly: %d of 200 spans", len(want))
	}
	r.passed(want...)
	r.stats(tail.Stats{Ratio: 50, Dropped: 50})
}

func TestForceAttribute(t *testing.T) {
	for name, tc := range map[string]struct {
		attr attribute.KeyValue
		opts []tail.Option
		want bool
	}{
		"int above 0":   {attribute.Int("sampling.priority", 1), nil, true},
		"int 0":         {attribute.Int("sampling.priority", 0), nil, false},
		"float above 0": {attribute.Float64("sampling.priority", 0.5), nil, true},
		"true":          {attribute.Bool("sampling.priority", true), nil, true},
		"false":         {attribute.Bool("sampling.priority", false), nil, false},
		"a string":      {attribute.String("sampling.priority", "1"), nil, false},
		"own key":       {attribute.Bool("debug", true), []tail.Option{tail.WithForce("debug")}, true},
		"no key":        {attribute.Int("sampling.priority", 1), []tail.Option{tail.WithForce("")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tc.opts...)
			_, span := r.start(remote(t, 1), "span")
			span.SetAttributes(tc.attr)
			span.End()
			if got := len(r.next.Ended()) == 1; got != tc.want {
				t.Errorf("kept = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRulesKeepAndExcuse(t *testing.T) {
	named := func(name string, v tail.Verdict) tail.Option {
		return tail.WithRule(func(s sdktrace.ReadOnlySpan) tail.Verdict {
			if s.Name() == name {
				return v
			}
			return tail.NoOpinion
		})
	}
	r := newRig(t, named("important", tail.Keep), named("expected", tail.Excuse), named("expected", tail.Keep))
	for n, name := range []string{"important", "expected", "other"} {
		_, span := r.start(remote(t, uint64(n)), name)
		fail(span)
	}
	r.passed("important", "other") // the first rule with an opinion wins
	r = newRig(t, named("expected", tail.Excuse))
	ctx, root := r.start(remote(t, 2), "server")
	_, child := r.start(ctx, "expected")
	fail(child)
	r.passed() // an excused span is held like any other
	fail(root)
	r.passed("expected", "server")
}

func TestHeadSampledSpansPassAtOnce(t *testing.T) {
	r := newRigWithHead(t, sdktrace.AlwaysSample())
	ctx, root := r.start(t.Context(), "server")
	_, child := r.start(ctx, "db")
	child.End()
	r.passed("db")
	root.End()
	r.passed("db", "server")
	r.stats(tail.Stats{})
}

func TestASampledSpanTakesItsUnsampledTraceAlong(t *testing.T) {
	byName := samplerFunc(func(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
		if p.Name == "chosen" {
			return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
		}
		return sdktrace.SamplingResult{}
	})
	r := newRigWithHead(t, byName)
	ctx, root := r.start(t.Context(), "server")
	_, db := r.start(ctx, "db")
	db.End()
	_, chosen := r.start(ctx, "chosen")
	chosen.End()
	root.End()
	r.passed("db", "chosen", "server")
	r.stats(tail.Stats{Head: 1})
}

func TestATraceThatIsOpenTwiceIsDecidedOnce(t *testing.T) {
	// Two services in one process, or two requests of one trace at once.
	r := newRig(t)
	_, gateway := r.start(remote(t, 1), "gateway")
	_, order := r.start(remote(t, 1), "order")
	order.End()
	r.stats(tail.Stats{Traces: 1, Spans: 1})
	fail(gateway)
	r.passed("order", "gateway")
}

func TestADetachedSpanThatFailsAfterTheRootKeepsTheTrace(t *testing.T) {
	r := newRig(t)
	ctx, root := r.start(remote(t, 1), "server")
	_, detached := r.start(ctx, "detached")
	root.End()
	r.passed()
	fail(detached)
	r.passed("server", "detached")
	r.stats(tail.Stats{Error: 1})
}

func TestLateSpansFollowTheDecision(t *testing.T) {
	r := newRig(t)
	ctx, kept := r.start(remote(t, 1), "kept")
	fail(kept)
	_, late := r.start(ctx, "late of kept")
	late.End()
	ctx, dropped := r.start(remote(t, 3), "dropped")
	dropped.End()
	_, late = r.start(ctx, "late of dropped")
	late.End()
	r.passed("kept", "late of kept")
	_, bad := r.start(ctx, "late error of dropped")
	fail(bad)
	_, after := r.start(ctx, "after it")
	after.End()
	r.passed("kept", "late of kept", "late error of dropped", "after it")
}

func TestSpansOpenAcrossAnEarlyDecisionFollowIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tail.WithSlow(0), tail.WithMaxAge(time.Minute))
		ctx, root := r.start(remote(t, 1), "root")
		_, a := r.start(ctx, "a")
		_, b := r.start(ctx, "b")
		_, c := r.start(ctx, "c")
		a.End()
		time.Sleep(time.Minute + 1)
		if err := r.tail.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.stats(tail.Stats{Dropped: 1, Early: 1})
		b.End() // late, in a dropped trace
		r.passed()
		fail(c) // late, but an error: always kept, and the rest with it
		root.End()
		r.passed("c", "root")
		r.stats(tail.Stats{Dropped: 1, Early: 1, Revived: 1, SpansLate: 1})
	})
}

func TestATraceOpenLongerThanSlowIsKeptWhenItsAgeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tail.WithSlow(time.Second), tail.WithMaxAge(time.Minute))
		ctx, root := r.start(remote(t, 1), "stream")
		_, msg := r.start(ctx, "message 1")
		msg.End()
		time.Sleep(time.Minute)
		_, other := r.start(remote(t, 2), "other") // exactly at the age: not over it yet
		other.End()
		r.passed()
		time.Sleep(1)
		_, other = r.start(remote(t, 2), "other")
		other.End()
		r.passed("message 1")
		_, msg = r.start(ctx, "message 2")
		msg.End()
		root.End()
		r.passed("message 1", "message 2", "stream")
		r.stats(tail.Stats{Slow: 1, Early: 1, Dropped: 2})
	})
}

func TestSpansWhoseStartWasNeverSeen(t *testing.T) {
	// The processor is registered while spans are open.
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(tail.Head(sdktrace.NeverSample())))
	tracer := provider.Tracer("test")
	ctx, root := tracer.Start(remote(t, 1), "root")
	_, bad := tracer.Start(ctx, "bad")
	_, ok := tracer.Start(remote(t, 3), "ok")
	r := newRig(t)
	provider.RegisterSpanProcessor(r.tail)
	ok.End()
	fail(bad)
	root.End()
	r.passed("bad", "root")
	r.stats(tail.Stats{Revived: 1, SpansLate: 1})
}

func TestShutdownDecidesAboutWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, tail.WithSlow(time.Second))
		_, slow := r.start(remote(t, 1), "slow, still open")
		ctx, _ := r.start(remote(t, 3), "root, still open")
		time.Sleep(time.Second)
		_, child := r.start(ctx, "ended child of slow")
		child.End()
		ctx, fast := r.start(remote(t, 5), "fast, still open")
		_, child = r.start(ctx, "ended child of fast")
		child.End()
		if err := r.provider.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.passed("ended child of slow")
		slow.End()
		fast.End()
		r.passed("ended child of slow")
		if got := r.tail.Stats(); got.Traces != 0 || got.Spans != 0 {
			t.Errorf("after Shutdown %d traces and %d spans are held, want none", got.Traces, got.Spans)
		}
	})
}

func TestOptionsAreValidated(t *testing.T) {
	next := newRig(t).next
	for name, tc := range map[string]struct {
		opt  tail.Option
		want string
	}{
		"slow":      {tail.WithSlow(-1), "WithSlow is -1ns"},
		"ratio":     {tail.WithRatio(2), "WithRatio is 2"},
		"rule":      {tail.WithRule(nil), "WithRule is nil"},
		"traces":    {tail.WithMaxTraces(0), "WithMaxTraces is 0"},
		"spans":     {tail.WithMaxSpans(0), "WithMaxSpans is 0"},
		"per trace": {tail.WithMaxSpansPerTrace(-1), "WithMaxSpansPerTrace is -1"},
		"age":       {tail.WithMaxAge(0), "WithMaxAge is 0s"},
		"decisions": {tail.WithMaxDecisions(0), "WithMaxDecisions is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tail.New(next, tail.Options(tail.WithSlow(1), tc.opt))
			if err == nil || !strings.Contains(err.Error(), "tail: "+tc.want) {
				t.Errorf("error %v, want it to say %q", err, "tail: "+tc.want)
			}
		})
	}
}

type samplerFunc func(sdktrace.SamplingParameters) sdktrace.SamplingResult

func (f samplerFunc) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult { return f(p) }
func (samplerFunc) Description() string                                                  { return "test" }
