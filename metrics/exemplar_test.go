// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/metrics"
)

// exemplarOf observes once with ex and returns the labels of the exemplar that is
// there then, nil if there is none.
func exemplarOf(t testing.TB, ex metrics.Exemplar) map[string]string {
	t.Helper()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: []float64{1}})
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", Help: "c"})
	metrics.WrapHistogram(h, 1).Observe(0.5, ex)
	metrics.WrapCounter(c).Inc(ex)

	reg := prometheus.NewRegistry()
	reg.MustRegister(h, c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	onCounter := families[0].GetMetric()[0].GetCounter().GetExemplar().GetLabel()
	onHistogram := families[1].GetMetric()[0].GetHistogram().GetBucket()[0].GetExemplar().GetLabel()
	if n := families[1].GetMetric()[0].GetHistogram().GetSampleCount(); n != 1 {
		t.Errorf("the histogram counted %d observations, want 1", n)
	}
	if n := families[0].GetMetric()[0].GetCounter().GetValue(); n != 1 {
		t.Errorf("the counter is at %v, want 1", n)
	}
	var labels map[string]string
	for _, l := range onHistogram {
		if labels == nil {
			labels = map[string]string{}
		}
		labels[l.GetName()] = l.GetValue()
	}
	if len(onCounter) != len(onHistogram) {
		t.Errorf("the counter's exemplar has %d labels, the histogram's %d", len(onCounter), len(onHistogram))
	}
	return labels
}

func TestExemplarLabels(t *testing.T) {
	const room = prometheus.ExemplarMaxRunes
	id := func(n int) string { return strings.Repeat("a", n) }
	tests := []struct {
		name string
		ex   metrics.Exemplar
		want map[string]string
	}{
		{"zero", metrics.Exemplar{}, nil},
		{"sampled", trace, map[string]string{"trace_id": trace.TraceID, "span_id": trace.SpanID}},
		{"not sampled", metrics.Exemplar{TraceID: trace.TraceID, SpanID: trace.SpanID}, nil},
		{"sampled without an id", metrics.Exemplar{Sampled: true, SpanID: trace.SpanID}, nil},
		{"no span", metrics.Exemplar{Sampled: true, TraceID: "t"}, map[string]string{"trace_id": "t"}},
		{
			"both fill it to the last rune",
			metrics.Exemplar{Sampled: true, TraceID: id(32), SpanID: id(room - 8 - 32 - 7)},
			map[string]string{"trace_id": id(32), "span_id": id(room - 8 - 32 - 7)},
		},
		{
			"one rune more and the span is dropped",
			metrics.Exemplar{Sampled: true, TraceID: id(32), SpanID: id(room - 8 - 32 - 7 + 1)},
			map[string]string{"trace_id": id(32)},
		},
		{
			"the trace fills it to the last rune",
			metrics.Exemplar{Sampled: true, TraceID: id(room - 8), SpanID: "s"},
			map[string]string{"trace_id": id(room - 8)},
		},
		{"one rune more and nothing is left", metrics.Exemplar{Sampled: true, TraceID: id(room - 8 + 1)}, nil},
		{
			"runes count, not bytes",
			metrics.Exemplar{Sampled: true, TraceID: strings.Repeat("é", room-8)},
			map[string]string{"trace_id": strings.Repeat("é", room-8)},
		},
		{"invalid trace", metrics.Exemplar{Sampled: true, TraceID: "\xff", SpanID: "s"}, nil},
		{"invalid span", metrics.Exemplar{Sampled: true, TraceID: "t", SpanID: "\xff"}, map[string]string{"trace_id": "t"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, exemplarOf(t, tc.ex)); diff != "" {
				t.Errorf("exemplar (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzExemplar holds exemplars to their promise for any ids: no panic, no more
// than 128 runes, no labels but the two, and none unless sampled.
func FuzzExemplar(f *testing.F) {
	f.Add(trace.TraceID, trace.SpanID, true)
	f.Add(strings.Repeat("x", 121), "", true)
	f.Add("\xff\xfe", "é", true)
	f.Add(trace.TraceID, trace.SpanID, false)
	f.Fuzz(func(t *testing.T, traceID, spanID string, sampled bool) {
		labels := exemplarOf(t, metrics.Exemplar{TraceID: traceID, SpanID: spanID, Sampled: sampled})
		if !sampled && labels != nil {
			t.Errorf("exemplar %q of a trace that is not sampled", labels)
		}
		runes := 0
		for k, v := range labels {
			if k == "trace_id" && v != traceID || k == "span_id" && v != spanID || k != "trace_id" && k != "span_id" {
				t.Errorf("label %q = %q", k, v)
			}
			runes += utf8.RuneCountInString(k) + utf8.RuneCountInString(v)
		}
		if _, ok := labels["trace_id"]; labels != nil && !ok {
			t.Errorf("exemplar %q leads nowhere", labels)
		}
		if runes > prometheus.ExemplarMaxRunes {
			t.Errorf("%d runes in %q", runes, labels)
		}
	})
}

func TestExemplarsAreThrottledPerBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, reg := newSet(t, metrics.WithBuckets(0.01, 1))
		h := set.HTTPServer("GET", "http")
		kept := func() []string {
			var ids []string
			for _, line := range lines(scrape(t, reg, openMetrics), "http_server_request_duration_seconds_bucket") {
				_, ex, ok := strings.Cut(line, `trace_id="`)
				if !ok {
					continue
				}
				id, _, _ := strings.Cut(ex, `"`)
				ids = append(ids, id)
			}
			return ids
		}
		observe := func(id string, d time.Duration) {
			h.End("/", 200, "", d, metrics.Exemplar{TraceID: id, Sampled: true, At: time.Now()})
		}
		expect := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, kept()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}

		observe("fast1", time.Millisecond)
		observe("slow1", time.Minute)
		expect("the first of each bucket", "fast1", "slow1")

		time.Sleep(metrics.DefaultExemplarInterval - 1)
		observe("fast2", time.Millisecond)
		expect("a nanosecond before the interval ends", "fast1", "slow1")

		time.Sleep(1)
		observe("fast3", time.Millisecond)
		expect("at its end, in the one bucket", "fast3", "slow1")

		h.End("/", 200, "", time.Minute, metrics.Exemplar{TraceID: "lost", At: time.Now()})
		expect("a trace that is not sampled replaces none", "fast3", "slow1")

		time.Sleep(time.Hour)
		h.End("/", 200, "", time.Minute, metrics.Exemplar{TraceID: "unclocked", Sampled: true})
		expect("without a clock reading", "fast3", "unclocked")

		h.End("/", 200, "", time.Minute, metrics.Exemplar{TraceID: "back", Sampled: true, At: time.Now().Add(-time.Hour)})
		expect("a clock that went back does not stop exemplars", "fast3", "back")
	})
}

func TestExemplarIntervalOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  metrics.Option
		want string
	}{
		{"every one", metrics.WithExemplarInterval(0), "b"},
		{"none", metrics.WithoutExemplars(), ""},
		{"the first", metrics.Options(), "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				set, reg := newSet(t, tc.opt)
				for _, id := range []string{"a", "b"} {
					set.Panic("here", metrics.Exemplar{TraceID: id, Sampled: true})
				}
				line := lines(scrape(t, reg, openMetrics), "fairlead_panics_total")[0]
				got := ""
				if _, ex, ok := strings.Cut(line, `trace_id="`); ok {
					got = ex[:1]
				}
				if got != tc.want {
					t.Errorf("exemplar %q, want %q: %s", got, tc.want, line)
				}
			})
		})
	}
}

func TestExemplarFrom(t *testing.T) {
	span := func(flags oteltrace.TraceFlags) context.Context {
		return oteltrace.ContextWithSpanContext(t.Context(), oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
			TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{2}, TraceFlags: flags,
		}))
	}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want metrics.Exemplar
	}{
		{"no request", t.Context(), metrics.Exemplar{}},
		{"not sampled", span(0), metrics.Exemplar{}},
		{"sampled", span(oteltrace.FlagsSampled), metrics.Exemplar{
			TraceID: "01000000000000000000000000000000", SpanID: "0200000000000000", Sampled: true,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := metrics.ExemplarFrom(tc.ctx); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestWhatPrometheusWouldPanicOver observes what makes client_golang panic or
// poisons a sum for ever.
func TestWhatPrometheusWouldPanicOver(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h"})
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", Help: "c"})
	wh, wc := metrics.WrapHistogram(h), metrics.WrapCounter(c)
	wh.Observe(math.NaN(), trace)
	wc.Add(math.NaN(), trace)
	wc.Add(-1, trace)
	wc.AddContext(inTrace(), math.NaN())
	wc.AddContext(inTrace(), -1)
	wh.Observe(2, trace)
	wc.Add(2, trace)

	// A summary takes no exemplars.
	metrics.WrapHistogram(prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Help: "s"})).Observe(1, trace)
	var nilHistogram *metrics.Histogram
	nilHistogram.Observe(1, trace)
	var nilCounter *metrics.Counter
	nilCounter.Inc(trace)
	nilCounter.AddContext(inTrace(), 1)

	reg := prometheus.NewRegistry()
	reg.MustRegister(h, c)
	got := lines(scrape(t, reg, "text/plain"), "h_sum", "h_count", "c_total")
	if diff := cmp.Diff([]string{"c_total 2", "h_sum 2", "h_count 1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestClockThatWentBack counts a negative duration as none.
func TestClockThatWentBack(t *testing.T) {
	set, reg := newSet(t)
	set.HTTPServer("GET", "http").End("/", 200, "", -time.Hour, trace)
	m := set.RPC(metrics.RPCKey{Method: "s/m"})
	m.End(0, "", -time.Hour, trace)
	for _, line := range lines(scrape(t, reg, "text/plain"), "http_server_request_duration_seconds_sum", "rpc_server_call_duration_seconds_sum") {
		if !strings.HasSuffix(line, " 0") {
			t.Error(line)
		}
	}
}
