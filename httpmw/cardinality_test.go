// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/metrics"
)

// series counts what a scrape would have to carry: one for each combination of
// labels of each metric.
func series(tb testing.TB, registry *prometheus.Registry) int {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n
}

// heap is what is in use after everything that can go is gone.
func heap() int64 {
	var m runtime.MemStats
	for range 2 { // once more for what sync.Pool kept
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// maxGrowth is how much memory a flood may leave behind, in bytes: less than a
// hundred for each thing that a peer made up, where a label would take thousands.
const maxGrowth = 256 << 10

// TestServerCardinality: peers cannot make series, nor fill memory. (otelhttp
// makes 106,001 series of 5,000 hosts: CVE-2023-45142.)
func TestServerCardinality(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := httpmw.Chain(handle("/orders/{id}", ok), httpmw.Record(stackOn(t, sdktrace.AlwaysSample(), registry)), httpmw.Recovery())
	request := func(method, target string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Method = method
		return r
	}
	floods := []struct {
		name  string
		n     int
		serve func(i int) *http.Request
		// series are those it adds: a duration for each known method, route and
		// status, and a gauge for each known method; of all six floods, 6.
		series int
	}{
		{"hosts", 5000, func(i int) *http.Request {
			r := request(http.MethodGet, "/orders/1")
			r.Host = fmt.Sprintf("h%d.example.com:%d", i, 1024+i)
			return r
		}, 1 + 1},
		{"paths that match", 5000, func(i int) *http.Request { return request(http.MethodGet, fmt.Sprintf("/orders/%d", i)) }, 0},
		{"paths that do not", 5000, func(i int) *http.Request { return request(http.MethodGet, fmt.Sprintf("/p%d/q%d", i, i)) }, 1},
		{"methods", 5000, func(i int) *http.Request { return request(fmt.Sprintf("M%d", i), "/orders/1") }, 1 + 1},
		{"methods and paths", 5000, func(i int) *http.Request { return request(fmt.Sprintf("M%d", i), fmt.Sprintf("/p%d", i)) }, 1},
		{"headers", 10000, func(i int) *http.Request {
			r := request(http.MethodGet, "/orders/1")
			for _, k := range []string{"X-Tenant", "X-Trace-Id", "X-Request-Id", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded"} {
				r.Header.Set(k, fmt.Sprintf("v%d", i))
			}
			r.Header.Set("Traceparent", fmt.Sprintf("00-%032x-%016x-01", i+1, i+1))
			r.Header.Set("Baggage", fmt.Sprintf("k%d=v%d", i, i))
			r.Header.Set(fmt.Sprintf("X-Label-%d", i), "v")
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:%d", i%256, i)
			return r
		}, 0},
	}
	total := series(t, registry)
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			direct(h, f.serve(0))
			total += f.series
			before := heap()
			for i := range f.n {
				direct(h, f.serve(i))
			}
			if grown := heap() - before; grown > maxGrowth {
				t.Errorf("%d bytes are left of %d requests, want at most %d", grown, f.n, maxGrowth)
			}
			if got := series(t, registry); got != total {
				t.Errorf("%d series after %d requests, want %d", got, f.n, total)
			}
		})
	}
}

// TestClientCardinality: a program that calls whatever hosts it is given has
// series of the first hundred, and one for all others.
func TestClientCardinality(t *testing.T) {
	registry := prometheus.NewRegistry()
	rt := httpmw.RecordTransport(stackOn(t, sdktrace.AlwaysSample(), registry), "")(answers(200, http.NoBody))
	call := func(i int) {
		req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("http://h%d.example.com:%d/", i, 1024+i), nil)
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	start := series(t, registry)
	for i := range 1000 {
		call(i)
	}
	before := heap()
	for i := range 5000 {
		call(1000 + i)
	}
	if grown := heap() - before; grown > maxGrowth {
		t.Errorf("%d bytes are left of 5000 hosts, want at most %d", grown, maxGrowth)
	}
	// A duration and a gauge for each host admitted, and for all others.
	if got, want := series(t, registry)-start, 2*(metrics.DefaultServerCap+1); got != want {
		t.Errorf("%d series, want %d", got, want)
	}
}
