// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// steps are what a call does, in steady state.
func steps(t testing.TB, opts ...metrics.Option) map[string]func() {
	set, _ := newSet(t, append([]metrics.Option{
		metrics.WithExemplarInterval(time.Hour), metrics.WithCap(metrics.LabelMethod, 2), metrics.WithCap(metrics.LabelServer, 1),
	}, opts...)...)
	ex := trace
	ex.At = time.Now()
	server := set.RPC(metrics.RPCKey{Method: "a.B/C", Type: metrics.BidiStream})
	client := metrics.RPCKey{Side: metrics.Client, Method: "a.B/D", ServerAddress: "stock", ServerPort: 443}
	set.RPC(client) // ahead of those to be refused
	web := set.HTTPServer("GET", "https")
	call := set.HTTPClient("GET", "https", "stock", 443)
	h := metrics.WrapHistogram(prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h"}), 1)
	policies, called := set.Policies(), inTrace()
	guard := newGuard(t, 1)
	guard.Value("in")
	return map[string]func(){
		"rpc": func() {
			server.Begin(ex)
			server.Received()
			server.Sent()
			server.End(0, "", time.Millisecond, ex)
		},
		"rpc failed":   func() { server.End(13, "INTERNAL", time.Millisecond, ex) },
		"rpc unknown":  func() { server.End(1000, "", time.Millisecond, ex) },
		"rpc resolved": func() { set.RPC(client).Attempt(0, "", time.Millisecond, ex) },
		"rpc refused":  func() { set.RPC(metrics.RPCKey{Method: "a.B/E"}) },
		"http": func() {
			web.Begin()
			web.End("/orders/{id}", 200, "", time.Millisecond, ex)
		},
		"http resolved": func() { set.HTTPServer("POST", "http").Begin() },
		"http client": func() {
			call.Begin()
			call.Attempt(200, "", time.Millisecond, ex)
			call.End(200, "", time.Millisecond, ex)
		},
		"http client resolved": func() { set.HTTPClient("GET", "https", "stock", 443).Begin() },
		"not sampled":          func() { web.End("/", 200, "", time.Millisecond, metrics.Exemplar{}) },
		"panic":                func() { set.Panic("grpc.server", ex) },
		"attempt": func() {
			policies.Attempted(called, resilience.Attempt{Policy: resilience.PolicyRetry, Name: "stock", Number: 1, Budget: 7})
		},
		"attempt, the last": func() {
			policies.Attempted(called, resilience.Attempt{
				Policy: resilience.PolicyRetry, Name: "stock", Number: 3,
				Outcome: resilience.OutcomeTransient, Reason: "attempts exhausted",
			})
		},
		"attempt, not sampled": func() {
			policies.Attempted(context.Background(), resilience.Attempt{Policy: resilience.PolicyRetry, Name: "stock", Number: 1})
		},
		"refusal":       func() { policies.Rejected(called, refusal) },
		"fallback":      func() { policies.FellBack(called, resilience.Fallback{Name: "stock"}) },
		"wrapped":       func() { h.Observe(1, ex) },
		"guard hit":     func() { guard.Value("in") },
		"guard refusal": func() { guard.Value("out") },
	}
}

// TestAllocations is the budget: none, once an instrument and its status were seen.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tc := range []struct {
		name string
		opt  metrics.Option
	}{
		{"default", metrics.Options()},
		{"everything", metrics.Options(
			metrics.WithGRPCMiddlewareNames(), metrics.WithSemconvOptIn("rpc/dup"), metrics.WithNativeHistograms())},
	} {
		for name, step := range steps(t, tc.opt) {
			t.Run(tc.name+"/"+name, func(t *testing.T) {
				for range 1000 { // past what is resolved lazily and the first offenders
					step()
				}
				limit := 0.0
				if name == "guard refusal" || name == "rpc refused" {
					limit = 0.1 // one in 64 is remembered
				}
				if got := testing.AllocsPerRun(1000, step); got > limit {
					t.Errorf("%v allocations, want at most %v", got, limit)
				}
			})
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	for name, step := range steps(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: metrics.DefaultBuckets()})
	b.Run("bare client_golang", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Observe(0.001)
		}
	})
}

func BenchmarkObserveParallel(b *testing.B) {
	step := steps(b)["http"]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			step()
		}
	})
}
