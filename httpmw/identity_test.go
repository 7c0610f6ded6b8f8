// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

const (
	callersTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersSpan  = "00f067aa0ba902b7"
	callers      = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// sentTo sends a request through the record, and returns the headers that a
// server at host gets.
func (g *rig) sentTo(ctx context.Context, host string, header http.Header) http.Header {
	g.t.Helper()
	var got http.Header
	rt := roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		got = r.Header
		return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody}, nil
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header = header
	before := header.Clone()
	if _, err := httpmw.RecordTransport(g.recorder, "")(rt).RoundTrip(req); err != nil {
		g.t.Fatal(err)
	}
	if diff := cmp.Diff(before, req.Header); diff != "" {
		g.t.Errorf("the caller's request was changed:\n%s", diff)
	}
	return got
}

// TestIdentityGoesOut: in place of what somebody else's request had, and to
// nobody who should not see it.
func TestIdentityGoesOut(t *testing.T) {
	copied := http.Header{ // as a proxy would
		"Traceparent":  {"00-11111111111111111111111111111111-2222222222222222-01"},
		"Tracestate":   {"old=1"},
		"Baggage":      {"user=old"},
		"X-Trace-Id":   {"33333333333333333333333333333333"},
		"X-Request-Id": {"theirs"},
		"X-Tenant":     {"own"},
		"Accept":       {"application/json"},
	}
	forward, err := ctxutil.NewForward([]string{"X-Tenant", "X-Canary"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, host string
		want       http.Header // "Traceparent" is that of the span, if it is here
	}{
		{"inside", "inventory:8080", http.Header{
			"Traceparent": {""}, "Tracestate": {"vendor=1"}, "Baggage": {"user=1"}, "X-Request-Id": {"req-7"},
			"X-Tenant": {"own"}, "X-Canary": {"yes"}, "Accept": {"application/json"},
		}},
		{"outside", "api.example.com", http.Header{
			"X-Request-Id": {"theirs"}, "X-Tenant": {"own"}, "Accept": {"application/json"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, record.WithForward(forward))
			g.check = append(g.check, telemetrytest.External(callersSpan))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			for k, v := range map[string]string{
				"Traceparent": callers, "Tracestate": "vendor=1", "Baggage": "user=1",
				"X-Request-ID": "req-7", "X-Tenant": "acme", "X-Canary": "yes", "X-Secret": "s3cret",
			} {
				r.Header.Set(k, v)
			}
			var got http.Header
			direct(g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
				got = g.sentTo(r.Context(), tc.host, copied)
			})), r)
			if _, ok := tc.want["Traceparent"]; ok {
				tc.want["Traceparent"] = []string{"00-" + callersTrace + "-" + g.client().SpanID() + "-01"}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("sent headers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForwardedOverTwoHops: what is on the list goes from the gateway through a
// service to the next one, and nothing else does.
func TestForwardedOverTwoHops(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"X-Tenant"})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, record.WithForward(forward))
	var seen http.Header
	var tenant, member string
	last, plain := listen(t, g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		seen = r.Header
		tenant = ctxutil.ForwardedValue(r.Context(), "x-tenant")
		member = baggage.FromContext(r.Context()).Member("user").Value()
	})), false)
	middle, _ := listen(t, g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, last, nil)
		send(t, g.clientOf(plain, "last"), req)
	})), true)
	gateway, outside := listen(t, g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, middle, nil)
		send(t, g.clientOf(trusting(t), "middle"), req)
	})), false)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway, nil)
	for k, v := range map[string]string{"X-Tenant": "acme", "X-Other": "no", "Baggage": "user=1", "X-Request-ID": "req-7"} {
		req.Header.Set(k, v)
	}
	send(t, outside, req)
	if tenant != "acme" || member != "1" || seen.Get("X-Request-Id") != "req-7" || seen.Get("X-Other") != "" {
		t.Errorf("tenant %q, baggage %q, headers %v", tenant, member, seen)
	}
	if n := len(g.settle().Traces().All()); n != 1 {
		t.Errorf("%d traces, want 1", n)
	}
}

// trusting is a client of the test servers with TLS.
func trusting(t *testing.T) *http.Client {
	t.Helper()
	_, roots := testTLS()
	return newClient(t, httpmw.WithTLS(roots), httpmw.WithPlaintext())
}

// TestRedirectLeavesIdentity: the record of a redirect to another origin is there,
// and its identity stays here.
func TestRedirectLeavesIdentity(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"X-Tenant"})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, record.WithForward(forward))
	var seen http.Header
	other, _ := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }), false)
	home, _ := listen(t, http.RedirectHandler(other, http.StatusFound), false)
	client := newClient(t, httpmw.WithPlaintext(), httpmw.WithTransports(
		httpmw.RecordTransport(g.recorder, "home"), httpmw.DeadlineTransport(ctxutil.Budget{})))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Tenant", "acme")
	r.Header.Set("Baggage", "user=1")
	r.Header.Set("X-Request-ID", "req-7")
	direct(g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, home, nil)
		send(t, client, req)
	})), r)
	want := http.Header{"Accept-Encoding": {"gzip"}, "User-Agent": {"Go-http-client/1.1"}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("the other origin got (-want +got):\n%s", diff)
	}
	if n := len(g.spans(trace.SpanKindClient)); n != 2 {
		t.Errorf("%d client spans, want one for each request", n)
	}
}

// TestPublicIngress: a stranger's identity is linked to, and nothing more.
func TestPublicIngress(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"X-Tenant"})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, record.WithIngress(ctxutil.Public), record.WithForward(forward))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for k, v := range map[string]string{"Traceparent": callers, "Baggage": "user=1", "X-Tenant": "acme", "X-Request-ID": "req-7"} {
		r.Header.Set(k, v)
	}
	w := direct(g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		if b := baggage.FromContext(r.Context()); b.Len() != 0 || len(ctxutil.Forwarded(r.Context())) != 0 {
			t.Errorf("baggage %v and headers %v got in", b, ctxutil.Forwarded(r.Context()))
		}
	})), r)
	server := g.server()
	if server.TraceID() == callersTrace || server.Parent.IsValid() {
		t.Errorf("the stranger's trace is continued: %v", server.Context)
	}
	if len(server.Links) != 1 || server.Links[0].SpanContext.TraceID().String() != callersTrace {
		t.Errorf("links %v, want one to %s", server.Links, callersTrace)
	}
	if w.Header().Get("X-Trace-Id") != server.TraceID() || w.Header().Get("X-Request-Id") != "req-7" {
		t.Errorf("answered %v", w.Header())
	}
}

// TestWithoutSDK: ids exist and correlate, and the next hop joins in.
func TestWithoutSDK(t *testing.T) {
	g := newRig(t)
	bare := g.another("bare", prometheus.NewRegistry(), record.WithTracerProvider(noop.NewTracerProvider()))
	var headers http.Header
	last, plain := listen(t, g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) { headers = r.Header })), false)
	client := &http.Client{Transport: httpmw.RecordTransport(bare, "last")(plain.Transport)}
	w := direct(httpmw.Record(bare)(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, last, nil)
		send(t, client, req)
	})), httptest.NewRequest(http.MethodGet, "/", nil))

	id := w.Header().Get("X-Trace-Id")
	g.check = append(g.check, telemetrytest.Unsampled(id), telemetrytest.Without(telemetrytest.LogKnownID, telemetrytest.LogContext, telemetrytest.SpanParent))
	if len(id) != 32 {
		t.Fatalf("answered X-Trace-ID %q", id)
	}
	if headers.Get("X-Trace-Id") != id || headers.Get("Traceparent") != "" {
		t.Errorf("sent on: %v", headers)
	}
	if got := g.server(); got.TraceID() != id || got.Context.TraceFlags() != trace.FlagsSampled {
		t.Errorf("the next hop has %v, want the trace %s, sampled as it likes", got.Context, id)
	}
	for _, l := range g.settle().Logs().All() {
		if l.TraceID != id || l.SpanID == "" {
			t.Errorf("a line without the id: %s", l)
		}
	}
}

// TestTraceIDHeader: callers without traceparent may bring an id.
func TestTraceIDHeader(t *testing.T) {
	for _, tc := range []struct{ name, header, traceID, requestID string }{
		{"hex", strings.ToUpper(callersTrace), callersTrace, ""},
		{"UUID", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", callersTrace, ""},
		{"another safe id", "order/17", "", "order/17"},
		{"not safe", "order 17\x1b[31m", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			g.check = append(g.check, telemetrytest.External(callersTrace))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["X-Trace-Id"] = []string{tc.header}
			w := direct(g.served(http.HandlerFunc(ok)), r)
			if got := w.Header().Get("X-Trace-Id"); len(got) != 32 || tc.traceID != "" && got != tc.traceID {
				t.Errorf("answered X-Trace-ID %q, want %q", got, tc.traceID)
			}
			if got := w.Header().Get("X-Request-Id"); got != tc.requestID {
				t.Errorf("answered X-Request-ID %q, want %q", got, tc.requestID)
			}
		})
	}
}
