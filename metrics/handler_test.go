// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
)

func serve(h http.Handler, method, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerNegotiates(t *testing.T) {
	set, reg := newSet(t, metrics.WithNativeHistograms())
	exercise(set)
	h := metrics.Handler(reg)
	for _, tc := range []struct {
		name, accept, contentType string
		exemplars                 bool
	}{
		{"OpenMetrics", openMetrics, "application/openmetrics-text; version=1.0.0", true},
		{"classic", "text/plain;version=0.0.4", "text/plain; version=0.0.4", false},
		{"anything", "*/*", "text/plain; version=0.0.4", false},
		{"nothing said", "", "text/plain; version=0.0.4", false},
		{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/vnd.google.protobuf", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := serve(h, http.MethodGet, tc.accept)
			if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), tc.contentType) {
				t.Errorf("%d, %s", w.Code, w.Header().Get("Content-Type"))
			}
			if got := strings.Contains(w.Body.String(), trace.TraceID); got != tc.exemplars {
				t.Errorf("exemplars visible: %v, want %v", got, tc.exemplars)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Error("a browser may sniff the type")
			}
		})
	}
}

func TestHandlerCompresses(t *testing.T) {
	set, reg := newSet(t)
	exercise(set)
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	metrics.Handler(reg).ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !strings.Contains(string(text), "rpc_server_active_calls") {
		t.Errorf("%v in %.100q", err, text)
	}
}

func TestHandlerMethods(t *testing.T) {
	_, reg := newSet(t)
	h := metrics.Handler(reg)
	for method, want := range map[string]int{
		http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405, "PROPFIND": 405,
	} {
		if w := serve(h, method, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		} else if want == 405 && w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: Allow is %q", method, w.Header().Get("Allow"))
		}
	}
}

func TestHandlerKeepsErrorsFromThePeer(t *testing.T) {
	const secret = "password=hunter2"
	for name, g := range map[string]prometheus.Gatherer{
		"error": prometheus.GathererFunc(gather(prometheus.NewRegistry().Gather, func() error { return errors.New(secret) })),
		"panic": prometheus.GathererFunc(gather(prometheus.NewRegistry().Gather, func() error { panic(secret) })),
		"collector": func() prometheus.Gatherer {
			reg := prometheus.NewRegistry()
			desc := prometheus.NewDesc("broken", "b", nil, nil)
			reg.MustRegister(collector{desc, prometheus.NewInvalidMetric(desc, errors.New(secret))})
			return reg
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			h := metrics.Handler(g, metrics.WithScrapeLogger(slog.New(slog.NewTextHandler(&log, nil))))
			w := serve(h, http.MethodGet, "")
			if w.Code != http.StatusInternalServerError {
				t.Errorf("%d, want 500", w.Code)
			}
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Errorf("the peer learns: %s", w.Body)
			}
			if n := strings.Count(log.String(), "hunter2"); n != 1 {
				t.Errorf("the cause is in the log %d times, want once:\n%s", n, log.String())
			}
		})
	}
}

// gather turns fail into a function like the first, whose result's type it takes.
func gather[T any](_ func() (T, error), fail func() error) func() (T, error) {
	return func() (none T, err error) { return none, fail() }
}

// collector is a collector of one metric.
type collector struct {
	desc   *prometheus.Desc
	metric prometheus.Metric
}

func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }
func (c collector) Collect(ch chan<- prometheus.Metric) { ch <- c.metric }

// slowCollector collects when it is told to.
type slowCollector struct {
	collector
	begun chan struct{}
	end   chan struct{}
}

func (c slowCollector) Collect(chan<- prometheus.Metric) {
	c.begun <- struct{}{}
	<-c.end
}

func TestHandlerLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		slow := slowCollector{
			collector: collector{desc: prometheus.NewDesc("slow", "s", nil, nil)},
			begun:     make(chan struct{}), end: make(chan struct{}),
		}
		reg.MustRegister(slow)
		h := metrics.Handler(reg, metrics.WithMaxScrapes(1), metrics.WithScrapeTimeout(5*time.Second))
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if w := serve(h, http.MethodGet, ""); w.Code != http.StatusServiceUnavailable {
				t.Errorf("a scrape that takes too long: %d, want 503", w.Code)
			}
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("it was answered after %v, want exactly 5s", took)
			}
		})
		<-slow.begun
		if w := serve(h, http.MethodGet, ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a second scrape at a time: %d, want 503", w.Code)
		}
		wg.Wait()
		close(slow.end)
	})
}

func TestHandlerCountsScrapes(t *testing.T) {
	_, reg := newSet(t)
	h := metrics.Handler(reg)
	metrics.Handler(reg) // a second one on the same registry shares the counters
	serve(h, http.MethodGet, "")
	if got := scrape(t, reg, ""); !strings.Contains(got, `promhttp_metric_handler_requests_total{code="200"} 1`) {
		t.Errorf("the scrape is not counted:\n%s", strings.Join(lines(got, "promhttp"), "\n"))
	}
}

func TestHandlerNilGatherer(t *testing.T) {
	defer func() {
		if v := recover(); v != "metrics: Handler: nil gatherer" {
			t.Errorf("panic %v", v)
		}
	}()
	metrics.Handler(nil)
}

func TestRegisterRuntime(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 { // twice is once
		if err := metrics.RegisterRuntime(reg); err != nil {
			t.Fatal(err)
		}
	}
	text := scrape(t, reg, "text/plain")
	for _, want := range []string{
		"go_goroutines ", "go_sched_latencies_seconds_count ", "go_gc_duration_seconds_count ",
		"process_start_time_seconds ", "go_build_info{", `fairlead_build_info{goversion="go1.`,
	} {
		if len(lines(text, want)) != 1 {
			t.Errorf("no line %s", want)
		}
	}
	if err := metrics.RegisterRuntime(nil); err == nil {
		t.Error("a nil registerer is no error")
	}
}

// TestRegisterRuntimeBesideOthers: the default registry has the Go collector already,
// with another choice of metrics.
func TestRegisterRuntimeBesideOthers(t *testing.T) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGoCollector())
	if err := metrics.RegisterRuntime(reg); err != nil {
		t.Fatal(err)
	}
	if len(lines(scrape(t, reg, ""), "go_goroutines ")) != 1 {
		t.Error("the Go collector is gone or doubled")
	}

	reg = prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_goroutines", Help: "Not the runtime's."}))
	if err := metrics.RegisterRuntime(reg); err == nil || !strings.Contains(err.Error(), "metrics: RegisterRuntime") {
		t.Errorf("a name that is taken by something else: %v", err)
	}
}
