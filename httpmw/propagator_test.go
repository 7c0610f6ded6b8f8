// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// TestOtherPropagators: formats beyond W3C's are read and written, under the
// same rules.
func TestOtherPropagators(t *testing.T) {
	const stale = "11111111111111111111111111111111-2222222222222222-1"
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, b3{})
	for _, tc := range []struct {
		name, host string
		propagator propagation.TextMapPropagator
		incoming   string // traceparent
		continued  bool
		b3, w3c    bool // what is sent on
	}{
		{name: "B3 alone", host: "next", propagator: b3{}, continued: true, b3: true},
		{name: "both", host: "next", propagator: both, continued: true, b3: true, w3c: true},
		{name: "both, to strangers", host: "api.example.com", propagator: both, continued: true},
		{name: "both, and traceparent decides", host: "next", propagator: both,
			incoming: "00-33333333333333333333333333333333-4444444444444444-01", b3: true, w3c: true},
		{name: "both, and a traceparent that is none", host: "next", propagator: both, incoming: "00-x", continued: true, b3: true, w3c: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t, record.WithPropagator(tc.propagator))
			g.check = append(g.check, telemetrytest.External(callersTrace, "33333333333333333333333333333333"))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("B3", callersTrace+"-"+callersSpan+"-1")
			if tc.incoming != "" {
				r.Header.Set("Traceparent", tc.incoming)
			}
			var sent http.Header
			w := direct(g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
				sent = g.sentTo(r.Context(), tc.host, http.Header{"B3": {stale}})
			})), r)
			id := w.Header().Get("X-Trace-Id")
			if (id == callersTrace) != tc.continued {
				t.Errorf("the trace is %s", id)
			}
			if got := sent.Get("B3"); (got != "") != tc.b3 || tc.b3 && got[:32] != id {
				t.Errorf("sent B3 %q", got)
			}
			if got := sent.Get("Traceparent"); (got != "") != tc.w3c || tc.w3c && got[3:35] != id {
				t.Errorf("sent traceparent %q", got)
			}
		})
	}
}

// TestUnrecordedIdentityIsNotPropagated: in no format, because all of them would
// tell the next hop that somebody decided against sampling.
func TestUnrecordedIdentityIsNotPropagated(t *testing.T) {
	g := newRig(t, record.WithTracerProvider(noop.NewTracerProvider()),
		record.WithPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, b3{})))
	var sent http.Header
	w := direct(g.served(handle("GET /", func(_ http.ResponseWriter, r *http.Request) {
		sent = g.sentTo(r.Context(), "next", http.Header{})
	})), httptest.NewRequest(http.MethodGet, "/", nil))
	id := w.Header().Get("X-Trace-Id")
	g.check = append(g.check, telemetrytest.Unsampled(id))
	if diff := cmp.Diff(http.Header{"X-Trace-Id": {id}}, sent); diff != "" {
		t.Errorf("sent headers (-want +got):\n%s", diff)
	}
}
