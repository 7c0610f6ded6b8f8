// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/codes"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
)

// TestRequestIsOneRecord: client span, server span, two lines and two
// observations of one request tell the same story. That the signals agree with
// each other is checked by the rig; here is what they say.
func TestRequestIsOneRecord(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("POST /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
				ctxutil.Add(r.Context(), slog.String("order_id", r.PathValue("id")))
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, "made")
			})), http2)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/orders/o-17?token=s3cret", strings.NewReader("12345"))
			req.Header.Set("X-Request-ID", "req-7")
			req.Header.Set("User-Agent", "shop/1.0")
			resp := send(t, g.clientOf(plain, "orders"), req)

			server, client := g.server(), g.client()
			if server.Parent.SpanID().String() != client.SpanID() || server.TraceID() != client.TraceID() {
				t.Errorf("the server's span is not the client's child:\n%s", client.Trace().Tree())
			}
			if got := resp.Header.Get("X-Trace-Id"); got != server.TraceID() {
				t.Errorf("answered X-Trace-ID %q, want %q", got, server.TraceID())
			}
			if got := resp.Header.Get("X-Request-Id"); got != "req-7" {
				t.Errorf("answered X-Request-ID %q, want req-7", got)
			}
			u, _ := url.Parse(base)
			port, _ := strconv.ParseInt(u.Port(), 10, 64)
			version := map[bool]string{false: "1.1", true: "2"}[http2]
			wantSpan(t, server, map[string]any{
				"http.request.method": "POST", "http.route": "/orders/{id}", "url.path": "/orders/o-17",
				"url.scheme": u.Scheme, "url.query": nil, "http.response.status_code": int64(201),
				"server.address": "127.0.0.1", "server.port": port, "client.address": "127.0.0.1",
				"network.peer.address": "127.0.0.1", "user_agent.original": "shop/1.0",
				"network.protocol.version": version, "error.type": nil, "order_id": "o-17",
				"http.request.method_original": nil,
			})
			wantSpan(t, client, map[string]any{
				"http.request.method": "POST", "http.route": nil, "url.full": base + "/orders/o-17",
				"http.response.status_code": int64(201), "server.address": "orders", "server.port": port,
				"network.protocol.version": version, "error.type": nil,
			})
			if server.Name != "POST /orders/{id}" || client.Name != "POST" {
				t.Errorf("spans are called %q and %q", server.Name, client.Name)
			}
			if server.Status != codes.Unset || client.Status != codes.Unset {
				t.Errorf("span status %v and %v, want unset", server.Status, client.Status)
			}
			ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
			wantLine(t, g.line(server), map[string]any{
				"level": "INFO", "msg": "http server request", "trace_id": server.TraceID(), "span_id": server.SpanID(),
				"http.request.method": "POST", "http.route": "/orders/{id}", "url.path": "/orders/o-17",
				"http.response.status_code": 201.0, "duration_ms": ms(server.Duration()), "request_id": "req-7",
				"request_bytes": 5.0, "response_bytes": 4.0, "order_id": "o-17",
				"error.type": nil, "outcome": nil, "error": nil, "deadline_left_ms": nil,
			})
			if peer, _ := g.line(server).Attr("peer"); !isLoopback(peer) {
				t.Errorf("peer = %v, want the client's address", peer)
			}
			wantLine(t, g.line(client), map[string]any{
				"level": "DEBUG", "msg": "http client request", "trace_id": client.TraceID(), "span_id": client.SpanID(),
				"http.request.method": "POST", "server.address": "orders", "url.path": "/orders/o-17",
				"http.response.status_code": 201.0, "duration_ms": ms(client.Duration()), "peer": u.Host,
				"request_bytes": 5.0, "response_bytes": 4.0, "error.type": nil, "outcome": nil,
			})
			g.wantMetrics(t)
		})
	}
}

// wantMetrics checks that the requests' durations are those of their spans,
// that exemplars lead to them, and that nothing is counted as in progress.
func (g *rig) wantMetrics(t *testing.T) {
	t.Helper()
	server, client := g.server(), g.client()
	for name, span := range map[string]struct {
		id string
		d  time.Duration
	}{
		"http_server_request_duration_seconds": {server.SpanID(), server.Duration()},
		"http_client_request_duration_seconds": {client.SpanID(), client.Duration()},
	} {
		ms := g.metrics(name)
		if len(ms) != 1 || ms[0].GetHistogram().GetSampleCount() != 1 {
			t.Fatalf("%s: %v, want one observation", name, ms)
		}
		if got := ms[0].GetHistogram().GetSampleSum(); got != span.d.Seconds() {
			t.Errorf("%s: %v seconds, the span has %v", name, got, span.d.Seconds())
		}
		found := 0
		for _, b := range ms[0].GetHistogram().GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				if l.GetName() == "span_id" && l.GetValue() == span.id {
					found++
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: %d exemplars of span %s, want 1", name, found, span.id)
		}
	}
	for _, name := range []string{"http_server_active_requests", "http_client_active_requests"} {
		for _, m := range g.metrics(name) {
			if v := m.GetGauge().GetValue(); v != 0 {
				t.Errorf("%s = %v, want 0", name, v)
			}
		}
	}
}

// metrics returns the series of a metric.
func (g *rig) metrics(name string) []*dto.Metric {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// TestActiveRequestsAreCounted: the gauge is 1 while a handler runs.
func TestActiveRequestsAreCounted(t *testing.T) {
	g := newRig(t)
	during := -1.0
	h := g.served(handle("/", func(http.ResponseWriter, *http.Request) {
		during = g.metrics("http_server_active_requests")[0].GetGauge().GetValue()
	}))
	direct(h, httptest.NewRequest(http.MethodGet, "/", nil))
	if after := g.metrics("http_server_active_requests")[0].GetGauge().GetValue(); during != 1 || after != 0 {
		t.Errorf("active requests: %v during and %v after, want 1 and 0", during, after)
	}
}

// TestLevelsAndOutcomes: what a status does to line and span, on both sides.
func TestLevelsAndOutcomes(t *testing.T) {
	for _, tc := range []struct {
		status                   int
		serverLevel, clientLevel string
		serverFailed             bool
		outcome                  any
	}{
		{200, "INFO", "DEBUG", false, nil},
		{302, "INFO", "DEBUG", false, nil},
		{404, "INFO", "WARN", false, "client_fault"},
		{429, "WARN", "WARN", false, "overload"},
		{500, "ERROR", "WARN", true, "server_fault"},
		{503, "WARN", "WARN", true, "transient"},
		{504, "WARN", "WARN", true, "timeout"}, // nobody else set a limit,
	} {
		t.Run(strconv.Itoa(tc.status), func(t *testing.T) {
			g := newRig(t)
			base, plain := listen(t, g.served(handle("/", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
			})), false)
			plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			get(t, g.clientOf(plain, ""), base)

			server, client := g.server(), g.client()
			text := strconv.Itoa(tc.status)
			var serverError, clientError any
			if tc.serverFailed {
				serverError = text
			}
			if tc.status >= 400 {
				clientError = text
			}
			wantSpan(t, server, map[string]any{"error.type": serverError, "http.response.status_code": int64(tc.status)})
			wantSpan(t, client, map[string]any{"error.type": clientError, "http.response.status_code": int64(tc.status)})
			if (server.Status == codes.Error) != tc.serverFailed || (client.Status == codes.Error) != (clientError != nil) {
				t.Errorf("span status %v and %v", server.Status, client.Status)
			}
			wantLine(t, g.line(server), map[string]any{"level": tc.serverLevel, "outcome": tc.outcome, "error.type": serverError})
			wantLine(t, g.line(client), map[string]any{"level": tc.clientLevel, "outcome": tc.outcome, "error.type": clientError})
		})
	}
}

// TestQuietRoutes: success of a probe is not worth a line, failure is.
func TestQuietRoutes(t *testing.T) {
	g := newRig(t)
	status := http.StatusOK
	h := g.served(handle("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	direct(h, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	wantLine(t, g.line(g.server()), map[string]any{"level": "DEBUG"})

	status = http.StatusServiceUnavailable
	direct(h, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if lines := g.settle().Logs().With(record.MessageHTTPServer).All(); lines[1].Level != "WARN" {
		t.Errorf("a failed probe is logged at %s, want WARN", lines[1].Level)
	}
}

func TestRecordNeedsARecorder(t *testing.T) {
	wantPanic(t, "httpmw: Record: nil recorder", func() { httpmw.Record(nil) })
	wantPanic(t, "httpmw: RecordTransport: nil recorder", func() { httpmw.RecordTransport(nil, "") })
}

func isLoopback(v any) bool {
	s, _ := v.(string)
	host, _, err := net.SplitHostPort(s)
	return err == nil && net.ParseIP(host).IsLoopback()
}
