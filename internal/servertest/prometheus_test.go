// SPDX-License-Identifier: Apache-2.0

package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead"
)

// program returns the path of an installed program.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed; scripts/setup.sh installs it", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// freePort returns a TCP port on loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startPrometheus runs a Prometheus that scrapes target every 200 ms, until the
// test ends. It returns its URL.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	path, dir := program(t, "prometheus"), t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms}\nscrape_configs: [{job_name: service, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var output bytes.Buffer
	cmd := exec.Command(path, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--enable-feature=exemplar-storage")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus said:\n%s", output.String())
		}
	})
	base := "http://" + addr
	eventually(t, "Prometheus is ready", func() bool {
		resp, err := http.Get(base + "/-/ready")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return base
}

// eventually waits until ok, for at most half a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

type sdk struct{ provider *sdktrace.TracerProvider }

func (s sdk) TracerProvider() trace.TracerProvider      { return s.provider }
func (s sdk) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }
func (s sdk) SlogHandler() slog.Handler                 { return nil }
func (s sdk) Shutdown(ctx context.Context) error        { return s.provider.Shutdown(ctx) }

// TestPrometheusShowsTheExemplar: a real Prometheus scrapes a service, and the
// exemplar it shows leads to the request's trace.
func TestPrometheusShowsTheExemplar(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tel := sdk{sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))}
	svc, err := fairlead.New("shop", fairlead.WithPlaintext(), fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithLogHandler(slog.DiscardHandler),
		fairlead.WithTelemetry(func(context.Context, string, prometheus.Gatherer) (sdk, error) { return tel, nil }))
	if err != nil {
		t.Fatal(err)
	}
	svc.HTTP().HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- svc.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	prom := startPrometheus(t, svc.Addr("admin"))

	resp, err := http.Get("http://" + svc.Addr("http") + "/orders/7")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	traceID := resp.Header.Get("X-Trace-Id")
	var found map[string]string
	eventually(t, "Prometheus has the exemplar", func() bool {
		found = exemplarOf(t, prom, `http_server_request_duration_seconds_bucket{http_route="/orders/{id}"}`)
		return found != nil
	})
	if found["trace_id"] != traceID {
		t.Errorf("Prometheus's exemplar is of trace %q, want %q", found["trace_id"], traceID)
	}
	leads := false
	for _, s := range spans.Ended() {
		leads = leads || s.SpanContext().TraceID().String() == found["trace_id"] && s.SpanContext().SpanID().String() == found["span_id"]
	}
	if !leads {
		t.Errorf("the exemplar %v leads to no span", found)
	}
	promtoolAccepts(t, svc.Addr("admin"))
}

// exemplarOf returns the labels of the first exemplar of a series, or nil.
func exemplarOf(t *testing.T, base, query string) map[string]string {
	t.Helper()
	now := time.Now()
	q := url.Values{
		"query": {query},
		"start": {now.Add(-time.Minute).Format(time.RFC3339)},
		"end":   {now.Add(time.Minute).Format(time.RFC3339)},
	}
	resp, err := http.Get(base + "/api/v1/query_exemplars?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, d := range answer.Data {
		for _, e := range d.Exemplars {
			return e.Labels
		}
	}
	return nil
}

// promtoolAccepts holds the exposition to Prometheus's own linter.
func promtoolAccepts(t *testing.T, admin string) {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cmd := exec.Command(program(t, "promtool"), "check", "metrics")
	cmd.Stdin = resp.Body
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, strings.TrimSpace(string(out)))
	}
}
