// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fairlead-go/fairlead/metrics"
)

// exercise makes every metric of a Set appear.
func exercise(set *metrics.Set) {
	server := set.RPC(metrics.RPCKey{Side: metrics.Server, Method: "/shop.Order/Get"})
	server.Begin(trace)
	server.Received()
	server.Sent()
	server.End(0, "", 3*time.Millisecond, trace)
	server.Begin(metrics.Exemplar{})
	server.End(13, "INTERNAL", 80*time.Millisecond, metrics.Exemplar{})

	stream := set.RPC(metrics.RPCKey{Side: metrics.Server, Method: "shop.Stock/Watch", Type: metrics.BidiStream})
	stream.Begin(trace)
	stream.Received()
	stream.Sent()
	stream.Sent()

	client := set.RPC(metrics.RPCKey{
		Side: metrics.Client, Method: "shop.Stock/Watch", Type: metrics.BidiStream,
		ServerAddress: "inventory", ServerPort: 8443,
	})
	client.Begin(trace)
	client.Sent()
	client.Received()
	client.Attempt(14, "UNAVAILABLE", time.Millisecond, trace)
	client.Attempt(0, "", 20*time.Millisecond, trace)
	client.End(0, "", 30*time.Millisecond, trace)

	web := set.HTTPServer("GET", "https")
	web.Begin()
	web.End("/orders/{id}", 200, "", 7*time.Millisecond, trace)
	web.Begin()
	web.End("/orders/{id}", 500, "500", 12*time.Second, trace)

	pay := set.HTTPClient("POST", "https", "payment", 443)
	pay.Begin()
	pay.Attempt(0, "timeout", 200*time.Millisecond, trace)
	pay.Attempt(201, "", 40*time.Millisecond, trace)
	pay.End(201, "", 300*time.Millisecond, trace)

	set.Panic("grpc.server", trace)
	set.CountDrops("log", "sampled", func() uint64 { return 7 })
	exercisePolicies(set)
}

func TestExposition(t *testing.T) {
	tests := []struct {
		name, accept string
		opts         []metrics.Option
	}{
		{"core.om", openMetrics, nil},
		{"core.txt", "text/plain", nil},
		{"dup.txt", "text/plain", []metrics.Option{metrics.WithSemconvOptIn("rpc/dup")}},
		{"middleware.om", openMetrics, []metrics.Option{metrics.WithGRPCMiddlewareNames(), metrics.WithBuckets(1)}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // for the timestamps of exemplars
				set, reg := newSet(t, tc.opts...)
				exercise(set)
				golden(t, tc.name, exemplarOrder(scrape(t, reg, tc.accept)))
			})
		})
	}
}

// exemplarOrder puts the labels of exemplars, which come in any order, into one.
func exemplarOrder(text string) string {
	return strings.ReplaceAll(text,
		`{span_id="`+trace.SpanID+`",trace_id="`+trace.TraceID+`"}`,
		`{trace_id="`+trace.TraceID+`",span_id="`+trace.SpanID+`"}`)
}

// TestEveryMetricIsInTheTable holds the names table and the collectors against
// each other: name, help, kind and labels, both ways.
func TestEveryMetricIsInTheTable(t *testing.T) {
	synctest.Test(t, testEveryMetricIsInTheTable)
}

func testEveryMetricIsInTheTable(t *testing.T) {
	defer runGoroutines(t, "in-the-table")()
	set, reg := newSet(t, metrics.WithSemconvOptIn("rpc/dup"), metrics.WithGRPCMiddlewareNames())
	exercise(set)
	exerciseDiscovery(t, set)
	if err := metrics.RegisterRuntime(reg); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Help, Kind string
		Labels           []string
	}
	var got, want []row
	for _, f := range families {
		if n := f.GetName(); strings.HasPrefix(n, "go_") || strings.HasPrefix(n, "process_") {
			continue
		}
		r := row{Name: f.GetName(), Help: f.GetHelp(), Kind: strings.ToLower(f.GetType().String())}
		for _, l := range f.GetMetric()[0].GetLabel() {
			r.Labels = append(r.Labels, l.GetName())
		}
		got = append(got, r)
	}
	for _, m := range metrics.Names() {
		labels := slices.Clone(m.Labels)
		slices.Sort(labels)
		want = append(want, row{m.Name, m.Help, string(m.Kind), labels})
	}
	slices.SortFunc(want, func(a, b row) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names table and registry differ (-table +registry):\n%s", diff)
	}
}

// TestNamesAreCopied keeps users from editing the table.
func TestNamesAreCopied(t *testing.T) {
	metrics.Names()[0].Labels[0] = "edited"
	metrics.Names()[0].Name = "edited"
	if m := metrics.Names()[0]; m.Name == "edited" || m.Labels[0] == "edited" {
		t.Error("Names hands out the table itself")
	}
}

func TestLint(t *testing.T) {
	set, reg := newSet(t, metrics.WithGRPCMiddlewareNames())
	exercise(set)
	var own []string
	for _, m := range metrics.Names() {
		own = append(own, m.Name)
	}
	problems, err := testutil.GatherAndLint(reg, own...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestOldNamesAlone(t *testing.T) {
	set, reg := newSet(t, metrics.WithSemconvOptIn("http, rpc/old"))
	exercise(set)
	n := seriesOf(t, reg)
	if n["rpc_server_call_duration_seconds"] != 0 || n["rpc_client_call_duration_seconds"] != 0 {
		t.Errorf("rpc/old has the new durations: %v", n)
	}
	if n["rpc_server_duration_milliseconds"] != 2 || n["http_server_request_duration_seconds"] != 2 {
		t.Errorf("rpc/old lacks the old RPC durations or the HTTP ones: %v", n)
	}
}

func TestOptInComesFromTheEnvironment(t *testing.T) {
	t.Setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "rpc/dup")
	t.Setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,PROPFIND")
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	exercise(set)
	set.HTTPServer("PROPFIND", "http").Begin()
	got := scrape(t, reg, "text/plain")
	for _, want := range []string{
		`rpc_server_duration_milliseconds_count{rpc_grpc_status_code="13",rpc_method="Get",rpc_service="shop.Order",rpc_system="grpc"} 1`,
		`rpc_server_call_duration_seconds_count{error_type="INTERNAL",rpc_method="shop.Order/Get",rpc_response_status_code="INTERNAL",rpc_system_name="grpc"} 1`,
		`http_server_active_requests{http_request_method="PROPFIND",url_scheme="http"} 1`,
		`http_client_active_requests{http_request_method="_OTHER",server_address="payment",server_port="443",url_scheme="https"} 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
}

func TestNativeHistograms(t *testing.T) {
	for _, tc := range []struct {
		name             string
		opts             []metrics.Option
		classic, inNames int
	}{
		{"beside classic", []metrics.Option{metrics.WithNativeHistograms()}, 14, 1},
		{"alone", []metrics.Option{metrics.WithNativeHistograms(), metrics.WithoutClassicBuckets()}, 0, 1},
		{"not asked for", nil, 14, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, reg := newSet(t, tc.opts...)
			exercise(set)
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "http_server_request_duration_seconds" {
					continue
				}
				h := f.GetMetric()[0].GetHistogram()
				// A classic bucket for +Inf is listed only to hold an exemplar.
				classic := 0
				for _, b := range h.GetBucket() {
					if b.GetUpperBound() < 1e9 {
						classic++
					}
				}
				if classic != tc.classic || min(len(h.GetPositiveSpan()), 1) != tc.inNames {
					t.Errorf("%d classic buckets and %d spans, want %d and %d", classic, len(h.GetPositiveSpan()), tc.classic, tc.inNames)
				}
				if tc.inNames == 1 && len(h.GetExemplars()) == 0 {
					t.Error("the native histogram has no exemplar")
				}
			}
		})
	}
}
