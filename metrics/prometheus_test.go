// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/metrics"
)

// TestRealPrometheus has a Prometheus server scrape the handler, and asks it for the
// exemplars. It needs prometheus and promtool in the PATH.
func TestRealPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and waits for a scrape")
	}
	server, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus in the PATH")
	}
	set, reg := newSet(t, metrics.WithNativeHistograms(), metrics.WithGRPCMiddlewareNames(), metrics.WithSemconvOptIn("rpc/dup"))
	exercise(set)
	target := httptest.NewServer(metrics.Handler(reg))
	defer target.Close()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s}
scrape_configs: [{job_name: fairlead, metrics_path: /, static_configs: [{targets: [%q]}]}]
`, strings.TrimPrefix(target.URL, "http://")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), server, "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage")
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // says how it was stopped
		if t.Failed() {
			t.Log(log.String())
		}
	}()

	want := []string{
		"fairlead_breaker_transitions_total", "fairlead_calls_not_retried_total", "fairlead_fallbacks_total",
		"fairlead_panics_total", "fairlead_policy_rejections_total", "grpc_client_handled_total", "grpc_client_handling_seconds_bucket", "grpc_client_started_total",
		"grpc_server_handled_total", "grpc_server_handling_seconds_bucket", "grpc_server_started_total",
		"http_client_attempt_duration_seconds_bucket", "http_client_request_duration_seconds_bucket", "http_server_request_duration_seconds_bucket",
		"rpc_client_attempt_duration_seconds_bucket", "rpc_client_call_duration_seconds_bucket", "rpc_client_duration_milliseconds_bucket",
		"rpc_server_call_duration_seconds_bucket", "rpc_server_duration_milliseconds_bucket",
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var got []string
	for range 150 {
		<-tick.C
		if got = exemplarNames(t, address); len(got) >= len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics with an exemplar of the trace (-want +got):\n%s", diff)
	}
}

// exemplarNames returns the names of the series of which a Prometheus has exemplars
// with the trace that the tests use; nil if it does not answer yet.
func exemplarNames(t *testing.T, address string) []string {
	now := time.Now()
	q := url.Values{
		"query": {`{job="fairlead"}`},
		"start": {fmt.Sprint(now.Add(-time.Minute).Unix())},
		"end":   {fmt.Sprint(now.Add(time.Minute).Unix())},
	}
	r, err := http.Get("http://" + address + "/api/v1/query_exemplars?" + q.Encode())
	if err != nil {
		return nil
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct {
		Data []struct {
			SeriesLabels map[string]string
			Exemplars    []struct{ Labels map[string]string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Logf("%s: %v", r.Status, err)
		return nil
	}
	names := map[string]bool{}
	for _, s := range answer.Data {
		for _, e := range s.Exemplars {
			if e.Labels["trace_id"] == trace.TraceID && e.Labels["span_id"] == trace.SpanID {
				names[s.SeriesLabels["__name__"]] = true
			}
		}
	}
	return sorted(names)
}

// TestPromtool has promtool check the classic text.
func TestPromtool(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool in the PATH")
	}
	set, reg := newSet(t, metrics.WithGRPCMiddlewareNames())
	exercise(set)
	cmd := exec.CommandContext(t.Context(), tool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, reg, "text/plain"))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
