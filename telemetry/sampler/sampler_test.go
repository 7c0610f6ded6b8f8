// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/sampler"
)

func sampled(s sdktrace.Sampler, p sdktrace.SamplingParameters) bool {
	if p.ParentContext == nil {
		p.ParentContext = context.Background()
	}
	return s.ShouldSample(p).Decision == sdktrace.RecordAndSample
}

func traceID(n uint64) (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	id[0] = 1
	return id
}

func TestRatioChoosesTheSameTracesEverywhereAndNestedOnes(t *testing.T) {
	small, err := sampler.Ratio(0.1)
	if err != nil {
		t.Fatal(err)
	}
	large, err := sampler.Ratio(0.5)
	if err != nil {
		t.Fatal(err)
	}
	var inSmall, inLarge int
	for i := range uint64(1000) {
		p := sdktrace.SamplingParameters{TraceID: traceID(i * (math.MaxUint64 / 1000))}
		s, l := sampled(small, p), sampled(large, p)
		if s && !l {
			t.Fatalf("trace %v is in the small ratio but not in the large one", p.TraceID)
		}
		if s {
			inSmall++
		}
		if l {
			inLarge++
		}
	}
	if inSmall < 99 || inSmall > 101 || inLarge < 499 || inLarge > 501 {
		t.Errorf("sampled %d and %d of 1000 evenly spread ids, want 100 and 500", inSmall, inLarge)
	}
}

func TestInvalidArgumentsAreNamed(t *testing.T) {
	perSecond := func(n float64) error { _, err := sampler.PerSecond(n); return err }
	ratio := func(f float64) error { _, err := sampler.Ratio(f); return err }
	rules := func(r sampler.Rule) error { _, err := sampler.Rules(sdktrace.NeverSample(), r); return err }
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"ratio below 0":      {ratio(-0.1), "fraction is -0.1"},
		"ratio above 1":      {ratio(1.1), "fraction is 1.1"},
		"ratio not a number": {ratio(math.NaN()), "fraction is NaN"},
		"per second 0":       {perSecond(0), "n is 0"},
		"per second below":   {perSecond(-3), "n is -3"},
		"per second NaN":     {perSecond(math.NaN()), "n is NaN"},
		"per second Inf":     {perSecond(math.Inf(1)), "n is +Inf"},
		"per second tiny":    {perSecond(1e-300), "n is 1e-300"},
		"rule sampler":       {rules(sampler.Rule{Path: "/x"}), "rule 0: Sampler is nil"},
		"rule condition":     {rules(sampler.Rule{Sampler: sdktrace.AlwaysSample()}), "rule 0: no condition"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) || !strings.HasPrefix(tc.err.Error(), "sampler: ") {
				t.Errorf("error %v, want it to start with \"sampler: \" and to say %q", tc.err, tc.want)
			}
		})
	}
}

func TestPerSecondIsExactInEveryWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		n      float64
		window time.Duration
		most   int
	}{
		"5 a second":             {5, time.Second, 5},
		"one in ten seconds":     {0.1, 10 * time.Second, 1},
		"2.5: three in 1.2 secs": {2.5, 1200 * time.Millisecond, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := sampler.PerSecond(tc.n)
				if err != nil {
					t.Fatal(err)
				}
				burst := func() (n int) {
					for range 100 {
						if sampled(s, sdktrace.SamplingParameters{}) {
							n++
						}
					}
					return n
				}
				time.Sleep(time.Hour) // a quiet time earns nothing
				if got := burst(); got != tc.most {
					t.Errorf("first burst: %d sampled, want %d", got, tc.most)
				}
				time.Sleep(tc.window - 1)
				if got := burst(); got != 0 {
					t.Errorf("1ns before the window is over: %d sampled, want 0", got)
				}
				time.Sleep(1)
				if got := burst(); got != tc.most {
					t.Errorf("when the window is over: %d sampled, want %d", got, tc.most)
				}
			})
		})
	}
}

func TestPerSecondLetsTheAverageThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sampler.PerSecond(10)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for range 6000 { // 100 traces a second for a minute
			if sampled(s, sdktrace.SamplingParameters{}) {
				got++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got != 600 {
			t.Errorf("sampled %d in a minute, want 600", got)
		}
	})
}

func TestPerSecondHoldsUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still while goroutines run
		s, err := sampler.PerSecond(7)
		if err != nil {
			t.Fatal(err)
		}
		var got atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 50 {
					if sampled(s, sdktrace.SamplingParameters{}) {
						got.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if got.Load() != 7 {
			t.Errorf("sampled %d, want 7", got.Load())
		}
	})
}

func TestParentBasedAsksTheRootOncePerTrace(t *testing.T) {
	asked := 0
	counting := samplerFunc(func(sdktrace.SamplingParameters) sdktrace.SamplingResult {
		asked++
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	})
	tp := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler.ParentBased(counting)))
	tracer := tp.Tracer("test")
	ctx, root := tracer.Start(t.Context(), "root")
	_, child := tracer.Start(ctx, "child")
	if asked != 1 || !child.SpanContext().IsSampled() {
		t.Errorf("root sampler asked %d times, child sampled %v; want once and true", asked, child.SpanContext().IsSampled())
	}
	child.End()
	root.End()
	remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID(1), SpanID: trace.SpanID{1}, Remote: true})
	_, follows := tracer.Start(trace.ContextWithRemoteSpanContext(t.Context(), remote), "unsampled peer")
	if asked != 1 || follows.SpanContext().IsSampled() {
		t.Errorf("after an unsampled remote parent: asked %d, sampled %v; want 1 and false", asked, follows.SpanContext().IsSampled())
	}
}

func TestRulesFirstMatchWins(t *testing.T) {
	on, off := sdktrace.AlwaysSample(), sdktrace.NeverSample()
	s, err := sampler.Rules(on,
		sampler.Rule{Path: "/healthz", Sampler: off},
		sampler.Rule{Path: "/static/*", Kind: trace.SpanKindServer, Sampler: off},
		sampler.Rule{RPCMethod: "/shop.v1.Payment/Refund", Sampler: on},
		sampler.Rule{RPCMethod: "shop.v1.Payment/*", Sampler: off},
		sampler.Rule{Route: "/orders/{id}", SpanName: "GET *", Sampler: off},
		sampler.Rule{Kind: trace.SpanKindInternal, Sampler: off},
	)
	if err != nil {
		t.Fatal(err)
	}
	str := attribute.String
	for name, tc := range map[string]struct {
		span string
		kind trace.SpanKind
		with []attribute.KeyValue
		want bool
	}{
		"exact path":                    {"GET", trace.SpanKindServer, []attribute.KeyValue{str("url.path", "/healthz")}, false},
		"path only in part":             {"GET", trace.SpanKindServer, []attribute.KeyValue{str("url.path", "/healthz/x")}, true},
		"star crosses slashes":          {"GET", trace.SpanKindServer, []attribute.KeyValue{str("url.path", "/static/a/b.js")}, false},
		"all conditions have to match":  {"GET", trace.SpanKindClient, []attribute.KeyValue{str("url.path", "/static/a")}, true},
		"earlier rule wins":             {"x", trace.SpanKindServer, []attribute.KeyValue{str("rpc.method", "shop.v1.Payment/Refund")}, true},
		"service glob":                  {"x", trace.SpanKindServer, []attribute.KeyValue{str("rpc.method", "shop.v1.Payment/Charge")}, false},
		"leading slash":                 {"x", trace.SpanKindServer, []attribute.KeyValue{str("rpc.method", "/shop.v1.Payment/Charge")}, false},
		"service and method apart":      {"x", trace.SpanKindServer, []attribute.KeyValue{str("rpc.service", "shop.v1.Payment"), str("rpc.method", "Charge")}, false},
		"other service":                 {"x", trace.SpanKindServer, []attribute.KeyValue{str("rpc.method", "shop.v1.PaymentX/Charge")}, true},
		"route and name":                {"GET /orders/{id}", trace.SpanKindServer, []attribute.KeyValue{str("http.route", "/orders/{id}")}, false},
		"route with the wrong name":     {"POST /orders/{id}", trace.SpanKindServer, []attribute.KeyValue{str("http.route", "/orders/{id}")}, true},
		"unset kind counts as internal": {"x", trace.SpanKindUnspecified, nil, false},
		"fallback":                      {"x", trace.SpanKindProducer, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sampled(s, sdktrace.SamplingParameters{Name: tc.span, Kind: tc.kind, Attributes: tc.with}); got != tc.want {
				t.Errorf("sampled = %v, want %v", got, tc.want)
			}
		})
	}
	want := "Rules{path=/healthz:AlwaysOffSampler,path=/static/*&kind=server:AlwaysOffSampler," +
		"rpc=shop.v1.Payment/Refund:AlwaysOnSampler,rpc=shop.v1.Payment/*:AlwaysOffSampler," +
		"name=GET *&route=/orders/{id}:AlwaysOffSampler,kind=internal:AlwaysOffSampler,fallback:AlwaysOnSampler}"
	if got := s.Description(); got != want {
		t.Errorf("Description() = %s\nwant %s", got, want)
	}
}

func TestTracestateIsKept(t *testing.T) {
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID(1), SpanID: trace.SpanID{1}, TraceState: state,
	}))
	s, err := sampler.PerSecond(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []sdktrace.SamplingDecision{sdktrace.RecordAndSample, sdktrace.Drop} {
		got := s.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx})
		if got.Decision != want || got.Tracestate.String() != "vendor=1" {
			t.Errorf("ShouldSample = %v with tracestate %q, want %v with the parent's", got.Decision, got.Tracestate, want)
		}
	}
}

type samplerFunc func(sdktrace.SamplingParameters) sdktrace.SamplingResult

func (f samplerFunc) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult { return f(p) }
func (samplerFunc) Description() string                                                  { return "test" }
