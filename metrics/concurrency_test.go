// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
)

// TestConcurrentUse has many goroutines resolve, observe, overflow and scrape at
// once; under -race it shows that nothing is shared unguarded. Nothing may be lost
// and no cap exceeded.
func TestConcurrentUse(t *testing.T) {
	const workers, rounds, methods = 8, 400, 30
	set, reg := newSet(t,
		metrics.WithGRPCMiddlewareNames(), metrics.WithSemconvOptIn("rpc/dup"), metrics.WithNativeHistograms(),
		metrics.WithExemplarInterval(time.Microsecond),
		metrics.WithCap(metrics.LabelMethod, methods), metrics.WithCap(metrics.LabelServer, 10),
		metrics.WithCap(metrics.LabelRoute, 10), metrics.WithSeriesCap(100))
	guard, err := set.Guard("tenant", 10)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				id := fmt.Sprint((w*7 + i) % 50)
				m := set.RPC(metrics.RPCKey{Method: "a.B/" + id, Type: metrics.RPCType(i % 4)})
				m.Begin(trace)
				m.Sent()
				m.Received()
				m.End(uint32(i%20), id, time.Duration(i)*time.Millisecond, trace)
				c := set.HTTPClient("GET", "https", "host"+id, 443)
				c.Begin()
				c.Attempt(200+i%400, id, time.Millisecond, trace)
				c.End(200+i%400, id, time.Millisecond, trace)
				s := set.HTTPServer("GET", "http")
				s.Begin()
				s.End("/"+id, 200, "", time.Millisecond, trace)
				set.Panic(id, trace)
				if v := guard.Value(id); v != id && v != metrics.Other {
					t.Errorf("Value(%q) = %q", id, v)
				}
				if i%100 == 0 {
					set.Offenders()
					set.CountDrops("log", "sampled", func() uint64 { return 1 })
					if _, err := reg.Gather(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()

	counted := map[string]int{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			counted[f.GetName()] += int(m.GetHistogram().GetSampleCount()) + int(m.GetCounter().GetValue())
			if strings.Contains(f.GetName(), "_active_") && m.GetGauge().GetValue() != 0 {
				t.Errorf("%s is at %v after the last call", f.GetName(), m.GetGauge().GetValue())
			}
		}
	}
	for _, name := range []string{
		"rpc_server_call_duration_seconds", "rpc_server_duration_milliseconds", "grpc_server_started_total",
		"grpc_server_handled_total", "grpc_server_handling_seconds", "grpc_server_msg_sent_total",
		"http_client_request_duration_seconds", "http_client_attempt_duration_seconds",
		"http_server_request_duration_seconds", "fairlead_panics_total",
	} {
		if counted[name] != workers*rounds {
			t.Errorf("%s counted %d, want %d", name, counted[name], workers*rounds)
		}
	}
	if guard.Len() != 10 {
		t.Errorf("%d values admitted, want the cap of 10", guard.Len())
	}
	if n := seriesOf(t, reg)["rpc_server_active_calls"]; n != methods+1 {
		t.Errorf("%d methods, want %d and _OTHER", n, methods)
	}
}

// TestLazyCounterRace: two first increments at once are two increments.
func TestLazyCounterRace(t *testing.T) {
	for range 50 {
		set, reg := newSet(t)
		m := set.RPC(metrics.RPCKey{Method: "s/m", Type: metrics.ClientStream})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(m.Sent)
		}
		wg.Wait()
		got := lines(scrape(t, prometheus.Gatherer(reg), "text/plain"), "rpc_server_stream_messages_sent_total{")
		if len(got) != 1 || !strings.HasSuffix(got[0], " 4") {
			t.Fatalf("four increments gave %q", got)
		}
	}
}
