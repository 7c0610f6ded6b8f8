// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
)

// children sums what has a price: the children of all families that calls make.
func children(t *testing.T, g prometheus.Gatherer) int {
	t.Helper()
	sum := 0
	for name, n := range seriesOf(t, g) {
		switch name {
		case "fairlead_metrics_label_overflow_total", "fairlead_metrics_label_values":
		default:
			sum += n
		}
	}
	return sum
}

// TestHostileTraffic shows each label what an attacker would, and states how many
// children all families together have afterwards.
func TestHostileTraffic(t *testing.T) {
	caps := metrics.Options(
		metrics.WithCap(metrics.LabelMethod, 20),
		metrics.WithCap(metrics.LabelRoute, 20),
		metrics.WithCap(metrics.LabelServer, 20),
		metrics.WithCap(metrics.LabelErrorType, 10),
		metrics.WithCap(metrics.LabelSource, 5),
	)
	tests := []struct {
		name   string
		opts   []metrics.Option
		attack func(*metrics.Set, int)
		times  int
		want   int
		why    string
	}{
		{
			"5000 methods on a server", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				m := s.RPC(metrics.RPCKey{Side: metrics.Server, Method: fmt.Sprintf("/a.B/M%d", i)})
				m.Begin(trace)
				m.End(0, "", time.Millisecond, trace)
			},
			5000, 2 * (20 + 1), "a duration and a gauge for each method admitted and for _OTHER",
		},
		{
			"5000 methods at the default caps, in order", nil,
			func(s *metrics.Set, i int) {
				s.RPC(metrics.RPCKey{Method: fmt.Sprintf("M%d", i)}).End(0, "", time.Millisecond, trace)
			},
			5000, 2 * (metrics.DefaultMethodCap + 1), "as above",
		},
		{
			"5000 hosts called over HTTP", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				h := s.HTTPClient("GET", "https", fmt.Sprintf("h%d.example", i), 1+i)
				h.Begin()
				h.End(200, "", time.Millisecond, trace)
			},
			5000, 2 * (20 + 1), "a duration and a gauge for each server admitted and for _OTHER",
		},
		{
			"60000 ports of one host", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				s.HTTPClient("GET", "https", "proxy.example", i).End(200, "", time.Millisecond, trace)
			},
			60_000, 2 * (20 + 1), "a port makes a server",
		},
		{
			"one host in 4096 spellings", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				host := []byte("aaaaaaaaaaaa")
				for b := range host {
					if i>>b&1 == 1 {
						host[b] = 'A'
					}
				}
				s.HTTPClient("GET", "https", string(host), 443).End(200, "", time.Millisecond, trace)
			},
			4096, 2 * 1, "host names have no case",
		},
		{
			"5000 hosts called over gRPC", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				k := metrics.RPCKey{Side: metrics.Client, Method: "a.B/C", ServerAddress: fmt.Sprintf("10.0.%d.%d", i/256, i%256), ServerPort: i}
				s.RPC(k).End(0, "", time.Millisecond, trace)
			},
			5000, (20 + 1) + 1, "durations per server, one gauge",
		},
		{
			"5000 paths as routes, 5000 HTTP methods", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				s.HTTPServer("GET", "http").End(fmt.Sprintf("/p/%d", i), 200, "", time.Millisecond, trace)
				s.HTTPServer(fmt.Sprintf("M%d", i), fmt.Sprintf("scheme%d", i)).End("/", 200, "", time.Millisecond, trace)
			},
			5000, (19 + 1) + 1 + 2, "GET on 19 routes and on _OTHER, the unknown method on the twentieth; two gauges",
		},
		{
			"every HTTP status there is and then some", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				s.HTTPClient("GET", "https", "evil", 443).End(i-100, "", time.Millisecond, trace)
			},
			2000, namedStatuses() + 20 + 2 + 1, "named statuses, 20 others, none, _OTHER; one gauge",
		},
		{
			"10000 gRPC codes", []metrics.Option{caps, metrics.WithGRPCMiddlewareNames(), metrics.WithSemconvOptIn("rpc/dup")},
			func(s *metrics.Set, i int) {
				s.RPC(metrics.RPCKey{Method: "a.B/C"}).End(uint32(i), "", time.Millisecond, trace)
			},
			10_000, 3*(17+1) + 3, "new, old and handled per code and _OTHER; gauge, started and handling",
		},
		{
			"10000 error types", []metrics.Option{caps},
			func(s *metrics.Set, i int) {
				s.RPC(metrics.RPCKey{Method: "a.B/C"}).End(13, fmt.Sprintf("error %d", i), time.Millisecond, trace)
				s.HTTPServer("GET", "http").End("/", 500, fmt.Sprintf("error %d", i), time.Millisecond, trace)
			},
			10_000, 2*(10+1) + 2, "error types and _OTHER on each duration; two gauges",
		},
		{
			"10000 sources of panics", []metrics.Option{caps},
			func(s *metrics.Set, i int) { s.Panic(fmt.Sprintf("goroutine %d", i), trace) },
			10_000, 5 + 1, "sources and _OTHER",
		},
		{
			"methods times servers", []metrics.Option{caps, metrics.WithSeriesCap(50)},
			func(s *metrics.Set, i int) {
				k := metrics.RPCKey{Side: metrics.Client, Method: fmt.Sprintf("M%d", i%20), ServerAddress: fmt.Sprintf("h%d", i/20%20)}
				s.RPC(k).End(uint32(i%2), "", time.Millisecond, trace)
			},
			4000, 50 + 2 + 20 + 1, "the cap on combinations, one more per code past it; a gauge per method and for _OTHER",
		},
		{
			"routes times statuses", []metrics.Option{caps, metrics.WithSeriesCap(50)},
			func(s *metrics.Set, i int) {
				s.HTTPServer("GET", "http").End(fmt.Sprintf("/%d", i%20), 200+i/20%4, "", time.Millisecond, trace)
			},
			4000, 50 + 2 + 1, "the cap on combinations, one more per status past it (202 and 203), one gauge",
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			set, reg := newSet(t, tc.opts...)
			for i := range tc.times {
				tc.attack(set, i)
			}
			if got := children(t, reg); got != tc.want {
				t.Errorf("%d children, want exactly %d: %s", got, tc.want, tc.why)
				for name, n := range seriesOf(t, reg) {
					t.Logf("%5d %s", n, name)
				}
			}
			counted := 0
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					counted += int(m.GetHistogram().GetSampleCount())
				}
			}
			if counted < tc.times && tc.name != "10000 sources of panics" {
				t.Errorf("%d observations of %d were counted: overflow loses data", counted, tc.times)
			}
		})
	}
}

func namedStatuses() int {
	n := 0
	for status := range 1000 {
		if http.StatusText(status) != "" {
			n++
		}
	}
	return n
}

// TestHostileMemoryIsFlat: ten times the attack leaves the heap where it was.
func TestHostileMemoryIsFlat(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps memory of its own")
	}
	set, _ := newSet(t)
	attack := func(from, to int) {
		for i := from; i < to; i++ {
			set.RPC(metrics.RPCKey{Method: fmt.Sprintf("a.B/M%d", i)}).End(0, "", time.Millisecond, trace)
			set.HTTPClient("GET", "https", fmt.Sprintf("h%d", i), 443).End(200, "", time.Millisecond, trace)
			set.HTTPServer("GET", "http").End(fmt.Sprintf("/%d", i), 200, "", time.Millisecond, trace)
		}
	}
	heap := func() int {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	attack(0, 5000)
	before := heap()
	attack(5000, 50_000)
	if grown := heap() - before; grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	runtime.KeepAlive(set)
}

// TestWithKnownSurvivesAFlood: what was named ahead has its own label value after
// others filled the cap, however it was spelled.
func TestWithKnownSurvivesAFlood(t *testing.T) {
	set, reg := newSet(t,
		metrics.WithCap(metrics.LabelMethod, 10), metrics.WithKnown(metrics.LabelMethod, "/pay.Pay/Charge"),
		metrics.WithCap(metrics.LabelServer, 10), metrics.WithKnown(metrics.LabelServer, "Payment:443"),
		metrics.WithCap(metrics.LabelRoute, 10), metrics.WithKnown(metrics.LabelRoute, "/pay"))
	for i := range 100 {
		set.RPC(metrics.RPCKey{Method: fmt.Sprintf("M%d", i)}).End(0, "", 0, trace)
		set.HTTPClient("GET", "https", fmt.Sprintf("h%d", i), 443).End(200, "", 0, trace)
		set.HTTPServer("GET", "https").End(fmt.Sprintf("/%d", i), 200, "", 0, trace)
	}
	set.RPC(metrics.RPCKey{Method: "/pay.Pay/Charge"}).End(0, "", 0, trace)
	set.HTTPClient("GET", "https", "payment", 443).End(200, "", 0, trace)
	set.HTTPServer("GET", "https").End("/pay", 200, "", 0, trace)
	text := scrape(t, reg, "text/plain")
	for _, want := range []string{
		`rpc_server_call_duration_seconds_count{error_type="",rpc_method="pay.Pay/Charge",`,
		`http_client_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",server_address="payment",server_port="443"`,
		`http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/pay"`,
	} {
		if len(lines(text, want)) != 1 {
			t.Errorf("a flood kept %s out", want)
		}
	}
}
