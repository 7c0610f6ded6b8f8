// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
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

// canned is a transport that costs nothing by itself.
type canned struct{ response http.Response }

func (c *canned) RoundTrip(*http.Request) (*http.Response, error) {
	resp := c.response
	resp.Body = io.NopCloser(strings.NewReader("ok"))
	return &resp, nil
}

func bareTransport() http.RoundTripper {
	return &canned{http.Response{StatusCode: 200, ProtoMajor: 2, ContentLength: 2, Header: http.Header{}}}
}

// newSent is a request with what a client usually has: headers, and a context
// that can end.
func newSent(tb testing.TB) *http.Request {
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop:8080/orders/17", nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("User-Agent", "shop/1.0")
	r.Header.Set("Accept", "application/json")
	return r
}

func roundTripOnce(tb testing.TB, rt http.RoundTripper, r *http.Request, buf []byte) {
	resp, err := rt.RoundTrip(r)
	if err != nil {
		tb.Fatal(err)
	}
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
	_ = resp.Body.Close()
}

func clientAllocs(tb testing.TB, rt http.RoundTripper) float64 {
	r, buf := newSent(tb), make([]byte, 64)
	return testing.AllocsPerRun(2000, func() { roundTripOnce(tb, rt, r, buf) })
}

// TestAllocationBudget holds the record to its budget over the bare handler and
// transport: span, metrics with exemplars, request log, recovery; on the client
// the copy of the request and its headers that the contract of RoundTripper asks
// for, and the watch over the response's body.
func TestAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	server, client := serverAllocs(bareHandler()), clientAllocs(t, bareTransport())
	for _, tc := range []struct {
		name           string
		sampler        sdktrace.Sampler
		server, client float64
	}{
		{"sampled", sdktrace.AlwaysSample(), 20, 24},
		{"unsampled", sdktrace.NeverSample(), 11, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := stack(t, tc.sampler)
			got := serverAllocs(httpmw.Chain(bareHandler(), httpmw.Record(rec), httpmw.Recovery())) - server
			t.Logf("%.0f allocations a request served over bare's %.0f", got, server)
			if got > tc.server {
				t.Errorf("%.0f allocations a request served over bare, budget %.0f", got, tc.server)
			}
			got = clientAllocs(t, httpmw.RecordTransport(rec, "shop")(bareTransport())) - client
			t.Logf("%.0f allocations a request sent over bare's %.0f", got, client)
			if got > tc.client {
				t.Errorf("%.0f allocations a request sent over bare, budget %.0f", got, tc.client)
			}
		})
	}
}

// TestWhatIsOffCostsNothing: a deadline without limits, and a payload log whose
// level is not logged.
func TestWhatIsOffCostsNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	bare := serverAllocs(bareHandler())
	for name, mw := range map[string]httpmw.Middleware{
		"Deadline": httpmw.Deadline(ctxutil.Budget{}), "PayloadLog": httpmw.PayloadLog(log), "Route": httpmw.Route,
	} {
		if got := serverAllocs(httpmw.Chain(bareHandler(), mw)) - bare; got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
	bare = clientAllocs(t, bareTransport())
	for name, tr := range map[string]httpmw.Transport{
		"DeadlineTransport": httpmw.DeadlineTransport(ctxutil.Budget{}), "PayloadLogTransport": httpmw.PayloadLogTransport(log),
	} {
		if got := clientAllocs(t, tr(bareTransport())) - bare; got > 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

// variants are what the benchmarks compare.
func variants(tb testing.TB) map[string]*record.Recorder {
	return map[string]*record.Recorder{
		"bare":      nil,
		"unsampled": stack(tb, sdktrace.NeverSample()),
		"sampled":   stack(tb, sdktrace.AlwaysSample()),
	}
}

func BenchmarkServer(b *testing.B) {
	for name, rec := range variants(b) {
		b.Run(name, func(b *testing.B) {
			h := bareHandler()
			if rec != nil {
				h = httpmw.Chain(h, httpmw.Record(rec), httpmw.Recovery())
			}
			w, r := &quietWriter{header: http.Header{}}, newServed()
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkClient(b *testing.B) {
	for name, rec := range variants(b) {
		b.Run(name, func(b *testing.B) {
			rt := bareTransport()
			if rec != nil {
				rt = httpmw.RecordTransport(rec, "shop")(rt)
			}
			r, buf := newSent(b), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				roundTripOnce(b, rt, r, buf)
			}
		})
	}
}
