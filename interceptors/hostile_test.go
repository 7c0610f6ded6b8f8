// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// target is a server that is given metadata that no gRPC client would send: it
// is called through its http.Handler.
type target struct {
	tel    *telemetry
	server *grpc.Server
	// out is what the handler would send on to the next hop.
	out record.Outgoing
}

func newTarget(tb testing.TB) *target {
	tb.Helper()
	forward, err := ctxutil.NewForward([]string{"x-tenant"})
	if err != nil {
		tb.Fatal(err)
	}
	g := &target{tel: newTelemetry(tb, sdktrace.AlwaysSample(), record.WithForward(forward), record.WithPropagator(
		propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, oddPropagator{})))}
	g.server = grpc.NewServer(interceptors.ServerOptions(interceptors.Record(g.tel.recorder), interceptors.Recovery())...)
	rec := g.tel.recorder
	testgrpc.RegisterTestServiceServer(g.server, &service{handle: func(ctx context.Context) error {
		call := rec.StartRPCClient(ctx, rec.RPCClientMethod("/next.Hop/Call", "next", 0))
		g.out = call.Outgoing()
		call.FinishRPC(record.NewRPCStatus(false, 0, 0), "")
		return nil
	}})
	tb.Cleanup(g.server.Stop)
	return g
}

// call makes one unary call with headers, and returns the answer.
func (g *target) call(headers http.Header) *http.Response {
	g.tel.spans.Reset()
	g.tel.logs.buf.Reset()
	g.out = record.Outgoing{}
	r := httptest.NewRequest(http.MethodPost, "/grpc.testing.TestService/UnaryCall", bytes.NewReader(make([]byte, 5)))
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header = headers
	r.Header.Set("Content-Type", "application/grpc")
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, r)
	return w.Result()
}

// FuzzMetadata: whatever a caller sends, it gets its answer, the call has a
// clean identity, the log has one line for it, and the next hop is sent nothing
// that gRPC refuses.
func FuzzMetadata(f *testing.F) {
	f.Add(callersTraceparent, "a=1,b=2", "user=42", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "req-7", callersTrace+"00f067aa0ba902b7", "acme")
	f.Add("00-"+callersTrace+"-00f067aa0ba902b7-01\r\nx: y", "\x00", "a=%zz;;;", "\x1b[31mred\x1b[0m", "a\nb\rc", strings.Repeat("f", 48), "\xff\xfe")
	f.Add(strings.Repeat("0", 1<<16), strings.Repeat("a=1,", 1<<12), strings.Repeat("k=v,", 1<<14), strings.Repeat("a", 129), "\u202egnp.exe", "", strings.Repeat("t", 1<<13))
	f.Add("ff-"+callersTrace+"-00f067aa0ba902b7-01", "=", "=", strings.Repeat("0", 32), " ", "", "")
	g := newTarget(f)
	f.Fuzz(func(t *testing.T, traceparent, tracestate, baggage, traceID, requestID, odd, tenant string) {
		resp := g.call(http.Header{
			"Traceparent": {traceparent}, "Tracestate": {tracestate}, "Baggage": {baggage}, "X-Trace-Id": {traceID},
			"X-Request-Id": {requestID}, "X-Odd": {odd}, "X-Odd-Tenant": {odd}, "X-Tenant": {tenant},
		})
		if got := resp.Trailer.Get("Grpc-Status"); got != "0" {
			t.Fatalf("the peer got status %q %q", got, resp.Trailer.Get("Grpc-Message"))
		}
		span := g.tel.one(t, trace.SpanKindServer)
		id := span.SpanContext().TraceID().String()
		if answered := resp.Header.Values("X-Trace-Id"); len(answered) != 1 || answered[0] != id || !span.SpanContext().IsValid() {
			t.Errorf("answered x-trace-id %q for trace %s", answered, id)
		}
		if wanted, ok := callersID(traceparent, odd, traceID); ok && id != wanted {
			t.Errorf("trace id %s, want the caller's %s", id, wanted)
		}
		if answered := resp.Header.Get("X-Request-Id"); answered != "" {
			if _, ok := ctxutil.SafeID(answered); !ok {
				t.Errorf("answered x-request-id %q", answered)
			}
		}
		for _, kv := range span.Attributes() {
			if !utf8.ValidString(kv.Value.Emit()) {
				t.Errorf("span attribute %s = %q", kv.Key, kv.Value.Emit())
			}
		}
		checkOneLine(t, g.tel, id)
		checkSendable(t, g.out)
	})
}

// callersID is the trace id to be taken over, if any is.
func callersID(traceparent, odd, traceID string) (string, bool) {
	if sc, ok := ctxutil.ParseTraceparent(traceparent); ok {
		return sc.TraceID().String(), true
	}
	ctx := oddPropagator{}.Extract(context.Background(), propagation.MapCarrier{"x-odd": odd})
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		return sc.TraceID().String(), true
	}
	if tid, ok := ctxutil.ParseTraceID(traceID); ok {
		return tid.String(), true
	}
	return "", false
}

// checkOneLine holds the log to one printable line of JSON for a served call.
func checkOneLine(t *testing.T, tel *telemetry, traceID string) {
	t.Helper()
	served := 0
	for line := range strings.Lines(tel.logs.buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if m["trace_id"] != traceID {
			t.Errorf("line of trace %v, want %s", m["trace_id"], traceID)
		}
		if m["msg"] == record.MessageRPCServer {
			served++
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r < ' ' || r == 0x7f || r == utf8.RuneError {
				t.Fatalf("line %q has the character %U", line, r)
			}
		}
	}
	if served != 1 {
		t.Errorf("%d lines for the call served, want 1", served)
	}
}

// checkSendable holds what goes to the next hop to what gRPC takes.
func checkSendable(t *testing.T, out record.Outgoing) {
	t.Helper()
	values := []string{out.Traceparent, out.Tracestate, out.Baggage, out.TraceID, out.RequestID}
	for _, h := range out.Forwarded {
		values = append(values, h.Values...)
	}
	for _, v := range values {
		for i := range len(v) {
			if v[i] < ' ' || v[i] > '~' {
				t.Fatalf("%q would be sent on, which gRPC refuses", v)
			}
		}
	}
}

// TestHugeMetadata: as much as gRPC lets through is borne.
func TestHugeMetadata(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
	huge := strings.Repeat("a", 1<<20)
	for _, key := range []string{"traceparent", "tracestate", "baggage", "x-trace-id", "x-request-id"} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), key, huge)
		if err := callUnary(ctx, testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Errorf("1 MB of %s: %v", key, err)
		}
	}
	tel.noneLeft(t)
	for _, line := range tel.logs.all(t) {
		if id, _ := line["request_id"].(string); id != "" {
			t.Errorf("request_id of %d bytes", len(id))
		}
	}
	for _, s := range tel.ended(trace.SpanKindServer) {
		if s.Parent().IsValid() || !s.SpanContext().IsValid() {
			t.Errorf("span %v under %v", s.SpanContext(), s.Parent())
		}
	}
}

// TestHostileStatus: what a server's error says cannot break the client's
// spans and log lines.
func TestHostileStatus(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	cc := serve(t, &service{handle: fail(codes.Unavailable, "a\r\nb\x1b[31m\xff"+strings.Repeat("x", 1<<16))}, nil,
		interceptors.DialOptions(interceptors.Record(tel.recorder)))
	if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	text := tel.one(t, trace.SpanKindClient).Status().Description
	if !utf8.ValidString(text) || len(text) > 2<<10 {
		t.Errorf("span status of %d bytes: %.80q", len(text), text)
	}
	line := tel.logs.withMessage(t, "rpc client call")
	if text, _ := line["error"].(string); len(text) > 2<<10 || strings.ContainsAny(text, "\r\n\x1b") {
		t.Errorf("error of %d bytes: %.80q", len(text), text)
	}
}
