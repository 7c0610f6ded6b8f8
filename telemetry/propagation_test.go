// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

// withTraceparent returns a context with a remote parent of these flags, or
// none if flags is "".
func withTraceparent(t *testing.T, flags string) context.Context {
	if flags == "" {
		return t.Context()
	}
	carrier := propagation.MapCarrier{"traceparent": "00-" + traceID + "-" + spanID + "-" + flags}
	return propagation.TraceContext{}.Extract(t.Context(), carrier)
}

// TestFormatsEndToEnd sends a request through client, server and a second
// client, each hop with real headers, and looks at what left and what arrived.
func TestFormatsEndToEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		propagators string
		headers     map[string]string // as they come from a foreign peer
		leaves      []string          // headers of the next hop
	}{
		"b3": {
			"b3", map[string]string{"b3": traceID + "-" + spanID + "-1"}, []string{"B3"},
		},
		"b3multi": {
			"b3multi", map[string]string{"X-B3-TraceId": traceID, "X-B3-SpanId": spanID, "X-B3-Sampled": "1"},
			[]string{"X-B3-Sampled", "X-B3-Spanid", "X-B3-Traceid"},
		},
		"jaeger": {
			"jaeger", map[string]string{"Uber-Trace-Id": traceID + ":" + spanID + ":0:1"}, []string{"Uber-Trace-Id"},
		},
		"ottrace": {
			"ottrace", map[string]string{"Ot-Tracer-Traceid": traceID[16:], "Ot-Tracer-Spanid": spanID, "Ot-Tracer-Sampled": "true"},
			[]string{"Ot-Tracer-Sampled", "Ot-Tracer-Spanid", "Ot-Tracer-Traceid"},
		},
		"xray": {
			"xray", map[string]string{"X-Amzn-Trace-Id": "Root=1-" + traceID[:8] + "-" + traceID[8:] + ";Parent=" + spanID + ";Sampled=1"},
			[]string{"X-Amzn-Trace-Id"},
		},
		"default": {
			"", map[string]string{"Traceparent": "00-" + traceID + "-" + spanID + "-01", "Baggage": "k=v"}, []string{"Baggage", "Traceparent"},
		},
		"one in, all out": {
			"b3, jaeger ,tracecontext,b3", map[string]string{"b3": traceID + "-" + spanID + "-1"},
			[]string{"B3", "Traceparent", "Uber-Trace-Id"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, "OTEL_PROPAGATORS="+tc.propagators)
			tel := start(t, telemetry.WithDefaultExporter("none"))
			tracer := tel.TracerProvider().Tracer("test")

			received := make(chan http.Header, 1)
			last := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header }))
			defer last.Close()
			first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := tel.Propagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
				ctx, span := tracer.Start(ctx, "server")
				defer span.End()
				next, err := http.NewRequestWithContext(ctx, http.MethodGet, last.URL, nil)
				if err != nil {
					t.Error(err)
					return
				}
				tel.Propagator().Inject(ctx, propagation.HeaderCarrier(next.Header))
				get(t, next)
			}))
			defer first.Close()

			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, first.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tc.headers {
				request.Header.Set(k, v)
			}
			get(t, request)
			header := <-received
			var leaves []string
			for k := range header {
				if !slices.Contains([]string{"User-Agent", "Accept-Encoding", "Connection"}, k) {
					leaves = append(leaves, k)
				}
			}
			slices.Sort(leaves)
			if diff := cmp.Diff(tc.leaves, leaves); diff != "" {
				t.Errorf("headers of the next hop (-want +got):\n%s", diff)
			}
			got := trace.SpanContextFromContext(tel.Propagator().Extract(t.Context(), propagation.HeaderCarrier(header)))
			wantID := traceID
			if name == "ottrace" {
				wantID = strings.Repeat("0", 16) + traceID[16:]
			}
			if got.TraceID().String() != wantID || got.SpanID().String() == spanID || !got.SpanID().IsValid() || !got.IsSampled() {
				t.Errorf("the next hop sees %v sampled %v, want trace %s, a new span, sampled", got, got.IsSampled(), wantID)
			}
		})
	}
}

func get(t *testing.T, r *http.Request) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	_ = res.Body.Close()
}

func TestTraceparentWinsWhateverTheOrder(t *testing.T) {
	const other = "11111111111111111111111111111111"
	for _, list := range []string{"tracecontext,b3,jaeger", "b3,jaeger,tracecontext", "jaeger,tracecontext,b3"} {
		setenv(t, "OTEL_PROPAGATORS="+list)
		tel := start(t, telemetry.WithDefaultExporter("none"))
		carrier := propagation.MapCarrier{
			"traceparent":   "00-" + traceID + "-" + spanID + "-01",
			"b3":            other + "-" + spanID + "-0",
			"uber-trace-id": other + ":" + spanID + ":0:0",
		}
		got := trace.SpanContextFromContext(tel.Propagator().Extract(t.Context(), carrier))
		if got.TraceID().String() != traceID || !got.IsSampled() || !got.IsRemote() {
			t.Errorf("%s: extracted %v, want the traceparent's", list, got.TraceID())
		}
		delete(carrier, "traceparent")
		got = trace.SpanContextFromContext(tel.Propagator().Extract(t.Context(), carrier))
		if got.TraceID().String() != other {
			t.Errorf("%s: without a traceparent extracted %v, want the next one's", list, got.TraceID())
		}
	}
}

func TestNoneIsNoPropagation(t *testing.T) {
	setenv(t, "OTEL_PROPAGATORS=none")
	p := start(t, telemetry.WithDefaultExporter("none")).Propagator()
	out := propagation.MapCarrier{}
	p.Inject(withTraceparent(t, "01"), out)
	if len(out) != 0 || len(p.Fields()) != 0 {
		t.Errorf("injected %v, fields %v, want none", out, p.Fields())
	}
}

// FuzzExtract: whatever a peer sends, the outcome is a valid identity or none,
// a traceparent is never overruled, and what goes on to the next hop is clean.
func FuzzExtract(f *testing.F) {
	good := "00-" + traceID + "-" + spanID + "-01"
	f.Add(good, "b3", traceID+"-"+spanID+"-1-"+spanID, "k=v")
	f.Add("", "x-b3-traceid", traceID, "a=\r\nb")
	f.Add("", "uber-trace-id", traceID+":"+spanID+":0:1", "")
	f.Add("", "x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "")
	f.Add(good, "ot-tracer-traceid", "\x1b[31m\xff", strings.Repeat("k=v,", 3000))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) // too much baggage is an error, said so
	f.Setenv("OTEL_PROPAGATORS", "baggage,b3,b3multi,jaeger,xray,ottrace,tracecontext")
	tel, err := telemetry.New(f.Context(), telemetry.WithDefaultExporter("none"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	p := tel.Propagator()
	f.Fuzz(func(t *testing.T, traceparent, key, value, baggage string) {
		in := propagation.MapCarrier{"traceparent": traceparent, "baggage": baggage, strings.ToLower(key): value}
		ctx := p.Extract(t.Context(), in)
		got := trace.SpanContextFromContext(ctx)
		if got.HasTraceID() != got.HasSpanID() {
			t.Errorf("half an identity: %v", got)
		}
		w3c := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), in))
		if w3c.IsValid() && !got.Equal(w3c) {
			t.Errorf("traceparent says %v, extracted %v", w3c, got)
		}
		out := propagation.MapCarrier{}
		p.Inject(ctx, out)
		for k, v := range out {
			if len(v) > 8192 || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("next hop gets %s: %q", k, v)
			}
		}
	})
}
