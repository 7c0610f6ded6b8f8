// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// rig is the telemetry of one test: what its servers and clients record is held
// against the rules of telemetrytest when they have ended.
type rig struct {
	t        *testing.T
	seen     *telemetrytest.Recorder
	registry *prometheus.Registry
	recorder *record.Recorder
	logger   *slog.Logger
	check    []telemetrytest.Option // exceptions to the rules
}

func newRig(t *testing.T, opts ...record.Option) *rig {
	t.Helper()
	g := &rig{t: t, seen: telemetrytest.NewRecorder(), registry: prometheus.NewRegistry()}
	g.logger = slog.New(logging.NewHandler(g.seen.LogHandler("test")))
	g.recorder = g.another("test", g.registry, opts...)
	t.Cleanup(func() { telemetrytest.Check(t, g.settle(), g.check...) })
	return g
}

// another returns a recorder for one more service.
func (g *rig) another(service string, registry *prometheus.Registry, opts ...record.Option) *record.Recorder {
	g.t.Helper()
	set, err := metrics.New(registry, metrics.WithExemplarInterval(0))
	if err != nil {
		g.t.Fatal(err)
	}
	g.seen.AddMetrics(service, registry)
	rec, err := record.New(append([]record.Option{
		record.WithTracerProvider(g.seen.TracerProvider(service)),
		record.WithMetrics(set),
		record.WithLogger(slog.New(logging.NewHandler(g.seen.LogHandler(service)))),
	}, opts...)...)
	if err != nil {
		g.t.Fatal(err)
	}
	return rec
}

// settle waits until all requests are recorded.
func (g *rig) settle() *telemetrytest.Run {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = g.seen.Settle(ctx, g.check...) // if it did not, the check says why
	return g.seen.Run(g.t)
}

// spans returns the ended spans of a kind, by their start.
func (g *rig) spans(kind trace.SpanKind) []*telemetrytest.Span {
	g.t.Helper()
	var out []*telemetrytest.Span
	for _, s := range g.settle().Spans() {
		if s.Kind == kind {
			out = append(out, s)
		}
	}
	return out
}

// span returns the one span of a kind.
func (g *rig) span(kind trace.SpanKind) *telemetrytest.Span {
	g.t.Helper()
	spans := g.spans(kind)
	if len(spans) != 1 {
		g.t.Fatalf("%d %v spans, want 1: %v", len(spans), kind, spans)
	}
	return spans[0]
}

func (g *rig) server() *telemetrytest.Span { g.t.Helper(); return g.span(trace.SpanKindServer) }
func (g *rig) client() *telemetrytest.Span { g.t.Helper(); return g.span(trace.SpanKindClient) }

// line returns the request log line of a span.
func (g *rig) line(s *telemetrytest.Span) *telemetrytest.Line {
	g.t.Helper()
	lines := s.Logs().Where(func(l *telemetrytest.Line) bool {
		return l.Message == record.MessageHTTPServer || l.Message == record.MessageHTTPClient
	}).All()
	if len(lines) != 1 {
		g.t.Fatalf("%d request log lines of %s, want 1", len(lines), s)
	}
	return lines[0]
}

// wantSpan compares attributes of a span; nil stands for one that is absent.
func wantSpan(t *testing.T, s *telemetrytest.Span, want map[string]any) {
	t.Helper()
	for k, w := range want {
		got, ok := s.Attr(k)
		switch {
		case w == nil && ok:
			t.Errorf("%s: %s = %v, want none", s.Name, k, got.AsInterface())
		case w != nil && (!ok || got.AsInterface() != w):
			t.Errorf("%s: %s = %#v, want %#v", s.Name, k, got.AsInterface(), w)
		}
	}
}

// wantLine compares keys of a line; nil stands for one that is absent.
func wantLine(t *testing.T, l *telemetrytest.Line, want map[string]any) {
	t.Helper()
	for k, w := range want {
		got, ok := l.Attr(k)
		switch {
		case w == nil && ok:
			t.Errorf("%s: %s = %v, want none", l.Message, k, got)
		case w != nil && (!ok || got != w):
			t.Errorf("%s: %s = %#v, want %#v", l.Message, k, got, w)
		}
	}
}

// served is the chain that most tests serve.
func (g *rig) served(h http.Handler) http.Handler {
	return httpmw.Chain(h, httpmw.Record(g.recorder), httpmw.Recovery())
}

// protocols are the ones that everything is to work over.
var protocols = map[string]bool{"HTTP/1.1": false, "HTTP/2": true}

// listen serves h on loopback, and returns its URL and a client that trusts it,
// without records.
func listen(t testing.TB, h http.Handler, http2 bool) (string, *http.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	client := srv.Client()
	t.Cleanup(client.CloseIdleConnections)
	return srv.URL, client
}

// clientOf puts transports, the record first, around c's own.
func (g *rig) clientOf(c *http.Client, name string, ts ...httpmw.Transport) *http.Client {
	ts = append([]httpmw.Transport{httpmw.RecordTransport(g.recorder, name)}, ts...)
	return &http.Client{Transport: httpmw.ChainTransport(c.Transport, ts...), CheckRedirect: c.CheckRedirect}
}

// direct serves one request without a network.
func direct(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handle(pattern string, h http.HandlerFunc) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc(pattern, h)
	return mux
}

// reply is an answer and all of its body.
type reply struct {
	*http.Response
	text string
}

func send(t testing.TB, c *http.Client, r *http.Request) reply {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(b)}
}

func get(t testing.TB, c *http.Client, url string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, c, r)
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	f()
}
