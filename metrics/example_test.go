// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// printLines scrapes h as Prometheus does and prints the lines that start with prefix.
func printLines(h http.Handler, prefix string) {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			fmt.Print(line)
		}
	}
}

// A method's instruments are resolved once and observe every call.
func Example() {
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg, metrics.WithBuckets(0.01, 0.1, 1))
	if err != nil {
		panic(err)
	}

	get := set.RPC(metrics.RPCKey{Side: metrics.Server, Method: "/shop.Order/Get"})
	for _, took := range []time.Duration{4 * time.Millisecond, 250 * time.Millisecond} {
		get.Begin(metrics.Exemplar{})
		get.End(0, "", took, metrics.Exemplar{})
	}

	printLines(metrics.Handler(reg), "rpc_server_call_duration_seconds_")
	// Output:
	// rpc_server_call_duration_seconds_bucket{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc",le="0.01"} 1
	// rpc_server_call_duration_seconds_bucket{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc",le="0.1"} 1
	// rpc_server_call_duration_seconds_bucket{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc",le="1.0"} 2
	// rpc_server_call_duration_seconds_bucket{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc",le="+Inf"} 2
	// rpc_server_call_duration_seconds_sum{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc"} 0.254
	// rpc_server_call_duration_seconds_count{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc"} 2
}

// What the user saw is one call, however many attempts it took.
func ExampleHTTPClient_Attempt() {
	reg := prometheus.NewRegistry()
	set, _ := metrics.New(reg)

	payment := set.HTTPClient(http.MethodPost, "https", "payment", 443)
	payment.Begin()
	payment.Attempt(http.StatusServiceUnavailable, "503", 20*time.Millisecond, metrics.Exemplar{})
	payment.Attempt(http.StatusOK, "", 30*time.Millisecond, metrics.Exemplar{})
	payment.End(http.StatusOK, "", 150*time.Millisecond, metrics.Exemplar{})

	printLines(metrics.Handler(reg), "http_client_attempt_duration_seconds_count")
	printLines(metrics.Handler(reg), "http_client_request_duration_seconds_count")
	// Output:
	// http_client_attempt_duration_seconds_count{error_type="",http_request_method="POST",http_response_status_code="200",server_address="payment",server_port="443",url_scheme="https"} 1
	// http_client_attempt_duration_seconds_count{error_type="503",http_request_method="POST",http_response_status_code="503",server_address="payment",server_port="443",url_scheme="https"} 1
	// http_client_request_duration_seconds_count{error_type="",http_request_method="POST",http_response_status_code="200",server_address="payment",server_port="443",url_scheme="https"} 1
}

// A server's requests are told apart by route, never by path.
func ExampleHTTPServer() {
	reg := prometheus.NewRegistry()
	set, _ := metrics.New(reg)

	get := set.HTTPServer(http.MethodGet, "https")
	for _, pattern := range []string{"/orders/{id}", "/orders/{id}", metrics.Other} {
		get.Begin()
		get.End(pattern, http.StatusOK, "", time.Millisecond, metrics.Exemplar{})
	}

	printLines(metrics.Handler(reg), "http_server_request_duration_seconds_count")
	// Output:
	// http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/orders/{id}",url_scheme="https"} 2
	// http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="_OTHER",url_scheme="https"} 1
}

// Whatever a peer sends, a label has no more values than its cap; and one can see
// what was refused.
func ExampleWithCap() {
	reg := prometheus.NewRegistry()
	set, _ := metrics.New(reg, metrics.WithCap(metrics.LabelMethod, 1))

	for _, method := range []string{"shop.Order/Get", "wp.Admin/Login", "shop.Order/Get"} {
		set.RPC(metrics.RPCKey{Method: method}).End(0, "", time.Millisecond, metrics.Exemplar{})
	}

	printLines(metrics.Handler(reg), "rpc_server_call_duration_seconds_count")
	fmt.Printf("%+v\n", set.Offenders())
	// Output:
	// rpc_server_call_duration_seconds_count{error_type="",rpc_method="_OTHER",rpc_response_status_code="OK",rpc_system_name="grpc"} 1
	// rpc_server_call_duration_seconds_count{error_type="",rpc_method="shop.Order/Get",rpc_response_status_code="OK",rpc_system_name="grpc"} 2
	// [{Label:rpc_method Refused:1 Values:[wp.Admin/Login]}]
}

// A guard bounds a label of one's own metrics, here to two tenants.
func ExampleSet_Guard() {
	set, _ := metrics.New(prometheus.NewRegistry())
	tenants, err := set.Guard("tenant", 2)
	if err != nil {
		panic(err)
	}
	tenants.Allow("acme") // cannot be crowded out

	for _, t := range []string{"globex", "mallory", "acme", "gl\x1bobex"} {
		fmt.Printf("%q\n", tenants.Value(t))
	}
	// Output:
	// "globex"
	// "_OTHER"
	// "acme"
	// "_OTHER"
}

// One's own histogram with safe exemplars: what would make client_golang panic is
// left out.
func ExampleWrapHistogram() {
	size := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "order_size_items", Help: "Items in an order.", Buckets: []float64{1, 10},
	})
	reg := prometheus.NewRegistry()
	reg.MustRegister(size)

	wrapped := metrics.WrapHistogram(size, 1, 10)
	wrapped.Observe(3, metrics.Exemplar{TraceID: strings.Repeat("f", 4096), Sampled: true})
	wrapped.Observe(20, metrics.Exemplar{TraceID: "4bf92f3577b34da6a3ce929d0e0e4736"}) // not sampled

	printLines(metrics.Handler(reg), "order_size_items_bucket")
	// Output:
	// order_size_items_bucket{le="1.0"} 0
	// order_size_items_bucket{le="10.0"} 1
	// order_size_items_bucket{le="+Inf"} 2
}

// The table of names is what dashboards and alerts are generated from.
func ExampleNames() {
	for _, m := range metrics.Names() {
		if m.Semconv != "" && m.Group == metrics.GroupCore {
			fmt.Println(m.Semconv, "=", m.Name)
		}
	}
	// Output:
	// rpc.server.call.duration = rpc_server_call_duration_seconds
	// rpc.client.call.duration = rpc_client_call_duration_seconds
	// http.server.request.duration = http_server_request_duration_seconds
	// http.server.active_requests = http_server_active_requests
	// http.client.request.duration = http_client_request_duration_seconds
	// http.client.active_requests = http_client_active_requests
}

// RegisterRuntime and Handler are the rest of a service's /metrics.
func ExampleHandler() {
	reg := prometheus.NewRegistry()
	if err := metrics.RegisterRuntime(reg); err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(reg))
	printLines(mux, "# TYPE go_goroutines")
	// Output: # TYPE go_goroutines gauge
}

// Policies tell an observer what they decide, and are asked what state they are in.
func ExampleSet_Policies() {
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg)
	if err != nil {
		panic(err)
	}
	observer := set.Policies() // for the WithObserver of every policy
	set.CollectPolicies(func() metrics.PolicyStates {
		return metrics.PolicyStates{Budgets: []metrics.BudgetState{{Name: "payment", Remaining: 6}}}
	})

	observer.Rejected(context.Background(), &resilience.RejectedError{
		Policy: resilience.PolicyBreaker, Name: "payment", Reason: "open", RetryAfter: 12 * time.Second,
	})

	printLines(metrics.Handler(reg), "fairlead_policy_")
	printLines(metrics.Handler(reg), "fairlead_retry_")
	// Output:
	// fairlead_policy_rejections_total{name="payment",policy="breaker",reason="open"} 1.0
	// fairlead_retry_budget_remaining{name="payment"} 6.0
}
