// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// b3 is a propagator of one header, "B3: <trace id>-<span id>-1", as careless
// with what it reads as some are.
type b3 struct{}

func (b3) Fields() []string { return []string{"b3"} }

func (b3) Inject(ctx context.Context, c propagation.TextMapCarrier) {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		c.Set("b3", sc.TraceID().String()+"-"+sc.SpanID().String()+"-1")
	}
}

func (b3) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	id, rest, _ := strings.Cut(c.Get("b3"), "-")
	span, _, _ := strings.Cut(rest, "-")
	tid, err1 := trace.TraceIDFromHex(id)
	sid, err2 := trace.SpanIDFromHex(span)
	if err1 != nil || err2 != nil {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid, SpanID: sid, TraceFlags: 1}))
}

// open is a service with everything on that a peer can reach: all propagators, a
// forwarded header, deadlines, and a call to the next hop.
type open struct {
	handler http.Handler
	spans   *tracetest.SpanRecorder
	log     bytes.Buffer
	handled bool
	sent    http.Header // to the next hop
}

func newOpen(tb testing.TB, registry *prometheus.Registry) *open {
	tb.Helper()
	o := &open{spans: tracetest.NewSpanRecorder()}
	set, err := metrics.New(registry)
	if err != nil {
		tb.Fatal(err)
	}
	forward, err := ctxutil.NewForward([]string{"X-Tenant"})
	if err != nil {
		tb.Fatal(err)
	}
	rec, err := record.New(
		record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(o.spans))),
		record.WithPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, b3{})),
		record.WithMetrics(set), record.WithForward(forward),
		record.WithLogger(slog.New(logging.NewHandler(slog.NewJSONHandler(&o.log, nil)))))
	if err != nil {
		tb.Fatal(err)
	}
	next := httpmw.RecordTransport(rec, "next")(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		o.sent = r.Header
		return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
	}))
	o.handler = httpmw.Chain(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		o.handled = true
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://next/", nil)
		if _, err := next.RoundTrip(req); err != nil {
			tb.Error(err)
		}
	}), httpmw.Record(rec), httpmw.Recovery(), httpmw.Deadline(budget(tb, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Minute))))
	return o
}

// serve serves a request as no parser would let it through.
func (o *open) serve(method, host, path string, headers map[string]string) *httptest.ResponseRecorder {
	o.spans.Reset()
	o.log.Reset()
	o.handled, o.sent = false, nil
	r := &http.Request{
		Method: method, Host: host, URL: &url.URL{Path: path}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: "192.0.2.1:1234", Header: http.Header{}, Body: http.NoBody,
	}
	for k, v := range headers {
		if v != "" {
			r.Header[k] = []string{v}
		}
	}
	return direct(o.handler, r)
}

var hostile = []string{
	"", "x\r\nX-Injected: 1", "\x1b[31mred\x1b[0m", "\xff\xfe\x80", "\x00\x01", strings.Repeat("a", 1<<20),
	"\u202egnp.exe", "\u2028{\"level\":\"ERROR\"}", `"},{"trace_id":"x"`, "%0d%0a", "${jndi:ldap://x}", "<script>",
	callers, callersTrace, callersTrace + "-" + callersSpan + "-1", "00-" + strings.Repeat("0", 32) + "-" + callersSpan + "-01",
	"ff-" + callersTrace + "-" + callersSpan + "-01", callers + "-extra", strings.Repeat("k=v,", 5000), "k=\xff", "a=1;p=\x07",
	"0", "5", "-1", "99999999999999999999", "1e3", "  7", "h:1:2", "[::1", "user@host",
}

func FuzzHostileRequest(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, s, s, s, s, s, s, s, s, s, s)
		o := hostile[(i+7)%len(hostile)]
		f.Add(callers, o, s, s, o, s, "1000", s, o, s, o)
		f.Add(s, o, o, s, s, o, "", o, s, o, s)
	}
	o := newOpen(f, prometheus.NewRegistry())
	f.Fuzz(func(t *testing.T, traceparent, tracestate, bag, traceID, requestID, b3, timeout, host, method, path, other string) {
		w := o.serve(method, host, path, map[string]string{
			"Traceparent": traceparent, "Tracestate": tracestate, "Baggage": bag, "X-Trace-Id": traceID,
			"X-Request-Id": requestID, "B3": b3, "X-Request-Timeout-Ms": timeout, "Grpc-Timeout": other,
			"User-Agent": other, "X-Tenant": other,
		})
		d, limited := ctxutil.TimeoutFrom(ctxutil.HTTPCarrier(http.Header{"X-Request-Timeout-Ms": {timeout}, "Grpc-Timeout": {other}}))
		if w.Code != http.StatusOK && (!limited || d > time.Second) || w.Code == http.StatusOK && !o.handled {
			t.Errorf("status %d, handled %v", w.Code, o.handled)
		}
		id := w.Header().Get("X-Trace-Id")
		if !isHex(id, 32) {
			t.Errorf("answered X-Trace-ID %q", id)
		}
		if sc, ok := ctxutil.ParseTraceparent(traceparent); ok && sc.TraceID().String() != id {
			t.Errorf("the trace %s became %s", sc.TraceID(), id)
		}
		if echoed, ok := w.Header()["X-Request-Id"]; ok {
			if _, safe := ctxutil.SafeID(echoed[0]); !safe {
				t.Errorf("answered X-Request-ID %q", echoed[0])
			}
		}
		wantValidHeaders(t, w.Header())
		wantValidHeaders(t, o.sent)
		o.wantOneLine(t, id)
		o.wantValidSpans(t, id)
	})
}

func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }

// wantValidHeaders: anything else makes net/http fail the request or the answer.
func wantValidHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for k, values := range h {
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || len(v) > 16<<10 {
				t.Errorf("header %s: %.100q of %d bytes", k, v, len(v))
			}
		}
	}
}

// wantOneLine: one request is one line of JSON, about itself, that does nothing
// to a terminal, decoded or not.
func (o *open) wantOneLine(t *testing.T, id string) {
	t.Helper()
	line, more, _ := strings.Cut(o.log.String(), "\n")
	if more != "" || strings.ContainsFunc(line, unicode.IsControl) || !utf8.ValidString(line) || len(line) > 32<<10 {
		t.Errorf("log: %.300q", o.log.String())
	}
	var attrs map[string]any
	if err := json.Unmarshal([]byte(line), &attrs); err != nil {
		t.Fatalf("log: %v: %.300q", err, line)
	}
	if attrs["trace_id"] != id || attrs["msg"] != record.MessageHTTPServer {
		t.Errorf("log of %s: %.300q", id, line)
	}
	for k, v := range attrs {
		if s, ok := v.(string); ok && strings.ContainsFunc(s, unicode.IsControl) {
			t.Errorf("log: %s = %.100q", k, s)
		}
	}
}

// spanNames are all there can be without routes.
var spanNames = []string{
	"HTTP", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
}

// wantValidSpans: one invalid string makes OTLP refuse a whole batch.
func (o *open) wantValidSpans(t *testing.T, id string) {
	t.Helper()
	ended := o.spans.Ended()
	if len(ended) == 0 || len(ended) != len(o.spans.Started()) {
		t.Errorf("%d spans ended of %d", len(ended), len(o.spans.Started()))
	}
	for _, s := range ended {
		if s.SpanContext().TraceID().String() != id {
			t.Errorf("span %s is in trace %s, want %s", s.Name(), s.SpanContext().TraceID(), id)
		}
		if !slices.Contains(spanNames, s.Name()) {
			t.Errorf("span is called %.100q", s.Name())
		}
		for _, kv := range s.Attributes() {
			if v := kv.Value.String(); !utf8.ValidString(v) || len(v) > 4<<10 {
				t.Errorf("span attribute %s = %.100q of %d bytes", kv.Key, v, len(v))
			}
		}
	}
}
