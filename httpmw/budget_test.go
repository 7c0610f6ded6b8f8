// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// stack is the whole fused stack with a real SDK whose spans go nowhere.
func stack(tb testing.TB, sampler sdktrace.Sampler) *record.Recorder {
	tb.Helper()
	return stackOn(tb, sampler, prometheus.NewRegistry())
}

func stackOn(tb testing.TB, sampler sdktrace.Sampler, registry *prometheus.Registry) *record.Recorder {
	tb.Helper()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discard{}))
	set, err := metrics.New(registry)
	if err != nil {
		tb.Fatal(err)
	}
	rec, err := record.New(
		record.WithTracerProvider(provider),
		record.WithMetrics(set),
		record.WithLogger(slog.New(logging.NewHandler(slog.NewJSONHandler(io.Discard, nil)))))
	if err != nil {
		tb.Fatal(err)
	}
	return rec
}

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// quietWriter is the least a ResponseWriter can be.
type quietWriter struct{ header http.Header }

func (w *quietWriter) Header() http.Header         { return w.header }
func (w *quietWriter) WriteHeader(int)             {}
func (w *quietWriter) Write(p []byte) (int, error) { return len(p), nil }

func bareHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("ok"))
	})
	return mux
}

func newServed() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://shop.example:8443/orders/17", nil)
	r.Header.Set("User-Agent", "curl/8.5.0")
	r.Header.Set("Accept", "*/*")
	return r
}

func serverAllocs(h http.Handler) float64 {
	w, r := &quietWriter{header: http.Header{}}, newServed()
	return testing.AllocsPerRun(2000, func() {
		clear(w.header)
		h.ServeHTTP(w, r)
	})
}

func TestServerAllocationBudget(t *testing.T) {
	bare := serverAllocs(bareHandler())
	for _, tc := range []struct {
		name    string
		sampler sdktrace.Sampler
		budget  float64
	}{
		{"sampled", sdktrace.AlwaysSample(), 35},
		{"unsampled", sdktrace.NeverSample(), 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := httpmw.Chain(bareHandler(), httpmw.Record(stack(t, tc.sampler)), httpmw.Recovery())
			got := serverAllocs(h) - bare
			t.Logf("%.0f allocations a request over bare's %.0f", got, bare)
			if got > tc.budget {
				t.Errorf("%.0f allocations a request over bare, budget %.0f", got, tc.budget)
			}
		})
	}
}

func BenchmarkServer(b *testing.B) {
	for _, bc := range []struct {
		name string
		h    func() http.Handler
	}{
		{"bare", bareHandler},
		{"unsampled", func() http.Handler {
			return httpmw.Chain(bareHandler(), httpmw.Record(stack(b, sdktrace.NeverSample())), httpmw.Recovery())
		}},
		{"sampled", func() http.Handler {
			return httpmw.Chain(bareHandler(), httpmw.Record(stack(b, sdktrace.AlwaysSample())), httpmw.Recovery())
		}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			h := bc.h()
			w, r := &quietWriter{header: http.Header{}}, newServed()
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}
