// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
)

func TestNewErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []metrics.Option
		want []string
	}{
		{"no buckets", []metrics.Option{metrics.WithBuckets()}, []string{"metrics: WithBuckets: no bounds"}},
		{"not increasing", []metrics.Option{metrics.WithBuckets(1, 1)}, []string{"metrics: WithBuckets: bound 1 is 1: bounds must be finite and increasing"}},
		{"not a number", []metrics.Option{metrics.WithBuckets(1, math.NaN())}, []string{"bound 1 is NaN"}},
		{"infinite", []metrics.Option{metrics.WithBuckets(1, math.Inf(1))}, []string{"bound 1 is +Inf"}},
		{"nothing left", []metrics.Option{metrics.WithoutClassicBuckets()}, []string{"metrics: WithoutClassicBuckets: needs WithNativeHistograms"}},
		{"series cap", []metrics.Option{metrics.WithSeriesCap(0)}, []string{"metrics: WithSeriesCap: 0: must be at least 1"}},
		{"cap of nothing", []metrics.Option{metrics.WithCap("tenant", 1)}, []string{`metrics: WithCap: label "tenant" has no cap`, `"rpc_method"`}},
		{"cap below one", []metrics.Option{metrics.WithCap(metrics.LabelRoute, 0)}, []string{`metrics: WithCap: cap of "http_route" is 0`}},
		{"known of nothing", []metrics.Option{metrics.WithKnown("tenant", "acme")}, []string{`metrics: WithKnown: label "tenant" has no cap`}},
		{
			"all at once",
			[]metrics.Option{metrics.Options(metrics.WithSeriesCap(-1), metrics.WithoutClassicBuckets())},
			[]string{"WithSeriesCap: -1", "WithoutClassicBuckets"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			set, err := metrics.New(reg, tc.opts...)
			if err == nil || set != nil {
				t.Fatalf("New = %v, %v; want an error", set, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			if _, err := metrics.New(reg); err != nil {
				t.Errorf("a failed New left something behind: %v", err)
			}
		})
	}
	if _, err := metrics.New(nil); err == nil || err.Error() != "metrics: New: nil registerer" {
		t.Errorf("New(nil): %v", err)
	}
}

// TestOneSetPerRegistry: a second one is an error that says what to do, and leaves
// the registry as it was; a registry that tells services apart takes both.
func TestOneSetPerRegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, service := range []string{"order", "stock"} {
		set, err := metrics.New(prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, reg))
		if err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		set.HTTPServer("GET", "http").Begin()
	}
	got := lines(scrape(t, reg, "text/plain"), "http_server_active_requests")
	if len(got) != 2 || !strings.Contains(got[0], `service="order"`) || !strings.Contains(got[1], `service="stock"`) {
		t.Errorf("two services are not told apart: %q", got)
	}

	reg = prometheus.NewRegistry()
	first, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(reg); err == nil || !strings.Contains(err.Error(), "share that one") {
		t.Errorf("a second Set with the same options: %v", err)
	}
	if _, err := metrics.New(reg, metrics.WithGRPCMiddlewareNames()); err == nil {
		t.Error("a second Set with other options was registered over the first")
	}
	if !reg.Unregister(first) {
		t.Fatal("the first Set is not there as a whole")
	}
	if _, err := metrics.New(reg, metrics.WithGRPCMiddlewareNames()); err != nil {
		t.Errorf("a refused Set left something behind: %v", err)
	}
}

// TestConflictWithOthersNames leaves nothing half registered.
func TestConflictWithOthersNames(t *testing.T) {
	reg := prometheus.NewRegistry()
	theirs := prometheus.NewCounter(prometheus.CounterOpts{Name: "fairlead_panics_total", Help: "Theirs."})
	reg.MustRegister(theirs)
	if _, err := metrics.New(reg); err == nil || !strings.Contains(err.Error(), "fairlead_panics_total") {
		t.Errorf("New over a taken name: %v", err)
	}
	another := prometheus.NewCounter(prometheus.CounterOpts{Name: "rpc_server_active_calls", Help: "Not ours."})
	if err := reg.Register(another); err != nil {
		t.Errorf("a failed New left one of its names taken: %v", err)
	}
}

// TestNil: without metrics, everything that observes does nothing.
func TestNil(t *testing.T) {
	var set *metrics.Set
	exercise(set)
	if set.Offenders() != nil {
		t.Error("a nil Set has offenders")
	}
	if g, err := set.Guard("tenant", 1); err != nil || g.Value("acme") != "acme" {
		t.Errorf("a guard of a nil Set: %v", err)
	}
}

func TestResolvedOnce(t *testing.T) {
	set, _ := newSet(t)
	k := metrics.RPCKey{Side: metrics.Client, Method: "/a.B/C", ServerAddress: "stock", ServerPort: 443}
	m := set.RPC(k)
	k.Method = "a.B/C"
	if set.RPC(k) != m {
		t.Error("with and without a slash are two methods")
	}
	k.ServerAddress = "STOCK"
	if set.RPC(k) != m {
		t.Error("a host name has a case")
	}
	k.Side = metrics.Server
	server := set.RPC(k)
	k.ServerAddress, k.ServerPort = "", 0
	if set.RPC(k) != server || server == m {
		t.Error("a server's method depends on an address, or is the client's")
	}
	if set.HTTPServer("GET", "https") != set.HTTPServer("GET", "HTTPS") {
		t.Error("a scheme has a case")
	}
	if set.HTTPClient("", "http", "a", 80) != set.HTTPClient("GET", "http", "a", 80) {
		t.Error(`a client's method "" is not GET`)
	}
	if set.HTTPClient("GET", "http", "a", 80) == set.HTTPClient("GET", "http", "a", 81) {
		t.Error("two ports are one server")
	}
}

func TestActiveIsBalanced(t *testing.T) {
	set, reg := newSet(t)
	m := set.RPC(metrics.RPCKey{Method: "s/m"})
	m.Begin(trace)
	m.Begin(trace)
	m.End(0, "", time.Second, trace)
	if got := lines(scrape(t, reg, "text/plain"), "rpc_server_active_calls"); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("two begun and one ended: %q", got)
	}
}

// TestUnaryMessages are counted under go-grpc-middleware's names alone.
func TestUnaryMessages(t *testing.T) {
	set, reg := newSet(t, metrics.WithGRPCMiddlewareNames())
	m := set.RPC(metrics.RPCKey{Method: "s/m"})
	m.Received()
	m.Sent()
	got := scrape(t, reg, "text/plain")
	if len(lines(got, "rpc_server_stream_messages")) != 0 {
		t.Error("a unary call counts messages of streams")
	}
	if len(lines(got, "grpc_server_msg_sent_total", "grpc_server_msg_received_total")) != 2 {
		t.Error("a unary call's messages are missing under the old names")
	}
}

func TestServersHaveNoAttempts(t *testing.T) {
	set, reg := newSet(t)
	set.RPC(metrics.RPCKey{Method: "s/m"}).Attempt(0, "", time.Second, trace)
	if n := children(t, reg); n != 1 { // the gauge
		t.Errorf("%d children after an attempt of a server", n)
	}
}

func TestDropsAreAddedUp(t *testing.T) {
	set, reg := newSet(t)
	n := uint64(1)
	set.CountDrops("trace", "queue_full", func() uint64 { return n })
	set.CountDrops("trace", "queue_full", func() uint64 { return 10 })
	set.CountDrops("log", "sam\xffpled", func() uint64 { return 5 })
	set.CountDrops("log", "nil", nil)
	n = 2
	want := []string{
		`fairlead_telemetry_dropped_total{reason="queue_full",signal="trace"} 12`,
		"fairlead_telemetry_dropped_total{reason=\"sam\uFFFDpled\",signal=\"log\"} 5",
	}
	got := lines(scrape(t, reg, "text/plain"), "fairlead_telemetry_dropped_total{")
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}
