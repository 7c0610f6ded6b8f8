// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

const (
	callersTrace       = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersTraceparent = "00-" + callersTrace + "-00f067aa0ba902b7-01"
)

// hop is one service that records with tel and calls the next one.
func hop(t *testing.T, tel *telemetry, target string, next *grpc.ClientConn, kind callKind, see func(context.Context)) *grpc.ClientConn {
	t.Helper()
	return serveAt(t, target, &service{handle: func(ctx context.Context) error {
		if see != nil {
			see(ctx)
		}
		if next == nil {
			return nil
		}
		return kind.call(ctx, testgrpc.NewTestServiceClient(next))
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)),
		// The connection to a hop belongs to whoever calls it.
		nil)
}

// dialHop is hop, with the record of a caller on the connection.
func dialHop(t *testing.T, caller, tel *telemetry, target string, see func(context.Context)) *grpc.ClientConn {
	t.Helper()
	return serveAt(t, target, &service{handle: func(ctx context.Context) error {
		if see != nil {
			see(ctx)
		}
		return nil
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), interceptors.DialOptions(interceptors.Record(caller.recorder)))
}

// TestIncomingIdentity: which of a caller's ids becomes what, and is answered.
func TestIncomingIdentity(t *testing.T) {
	const uuid, hex32 = "6BA7B810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"
	for _, tc := range []struct {
		name        string
		headers     []string
		traceID     string // "" for a new one
		parent      string // of the server's span
		correlation string // answered as x-request-id
	}{
		{name: "nothing"},
		{name: "traceparent", headers: []string{"traceparent", callersTraceparent}, traceID: callersTrace, parent: "00f067aa0ba902b7"},
		{name: "traceparent goes before x-trace-id", headers: []string{"traceparent", callersTraceparent, "x-trace-id", uuid}, traceID: callersTrace, parent: "00f067aa0ba902b7"},
		{name: "a UUID", headers: []string{"x-trace-id", uuid}, traceID: hex32},
		{name: "32 hex digits", headers: []string{"x-trace-id", hex32}, traceID: hex32},
		{name: "another id", headers: []string{"x-trace-id", "order-17"}, correlation: "order-17"},
		{name: "an unsafe id", headers: []string{"x-trace-id", "order 17"}},
		{name: "a request id", headers: []string{"x-request-id", "req-7"}, correlation: "req-7"},
		{name: "an unsafe request id", headers: []string{"x-request-id", "req 7"}},
		{name: "both", headers: []string{"x-trace-id", uuid, "x-request-id", "req-7"}, traceID: hex32, correlation: "req-7"},
		{name: "a request id goes before another id", headers: []string{"x-trace-id", "order-17", "x-request-id", "req-7"}, correlation: "req-7"},
		{name: "a bad traceparent and a UUID", headers: []string{"traceparent", "00-1-2-3", "x-trace-id", uuid}, traceID: hex32},
		{name: "two request ids", headers: []string{"x-request-id", "far", "x-request-id", "near"}, correlation: "near"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				var seen ctxutil.Identity
				cc := hop(t, tel, "passthrough:///inventory", nil, kind, func(ctx context.Context) { seen = ctxutil.IdentityFrom(ctx) })
				var header metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), tc.headers...)
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header)); err != nil {
					t.Fatal(err)
				}
				span := tel.one(t, trace.SpanKindServer)
				traceID := span.SpanContext().TraceID().String()
				if tc.traceID != "" && traceID != tc.traceID {
					t.Errorf("trace id %s, want %s", traceID, tc.traceID)
				}
				if tc.traceID == "" && traceID == callersTrace {
					t.Errorf("trace id %s is the caller's", traceID)
				}
				if got := span.Parent().SpanID(); tc.parent == "" && got.IsValid() || tc.parent != "" && got.String() != tc.parent {
					t.Errorf("parent %v, want %q", got, tc.parent)
				}
				if seen.TraceID() != traceID || seen.CorrelationID != tc.correlation {
					t.Errorf("the handler saw %s and %q, want %s and %q", seen.TraceID(), seen.CorrelationID, traceID, tc.correlation)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
					"trace_id": traceID, "request_id": orNil(tc.correlation),
				})
				if got := header.Get("x-trace-id"); !slices.Equal(got, []string{traceID}) {
					t.Errorf("answered x-trace-id %q, want %s", got, traceID)
				}
				if got := strings.Join(header.Get("x-request-id"), ","); got != tc.correlation {
					t.Errorf("answered x-request-id %q, want %q", got, tc.correlation)
				}
			})
		}
	}
}

// TestAnsweredIDs: an answer has the call's ids once, in its header or, if it is
// nothing but an error, in its trailer: a header would end the client's retries.
func TestAnsweredIDs(t *testing.T) {
	refuse := func(context.Context) error { return status.Error(codes.Unavailable, "later") }
	early := func(ctx context.Context) error { return grpc.SendHeader(ctx, metadata.Pairs("x-early", "1")) }
	for _, tc := range []struct {
		name     string
		service  *service
		inHeader map[string]bool
	}{
		{"well", &service{}, map[string]bool{"unary": true, "client stream": true, "server stream": true, "bidi stream": true}},
		{"refused", &service{
			handle: refuse,
			output: func(testgrpc.TestService_StreamingOutputCallServer) error { return refuse(nil) },
			duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return refuse(nil) },
		}, nil},
		{"failed half-way", &service{handle: refuse}, map[string]bool{"server stream": true, "bidi stream": true}},
		{"well, without a message", &service{
			output: func(testgrpc.TestService_StreamingOutputCallServer) error { return nil },
		}, map[string]bool{"unary": true, "client stream": true, "server stream": true, "bidi stream": true}},
		{"header sent early", &service{
			handle: early,
			input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
				if err := ss.SendHeader(metadata.Pairs("x-early", "1")); err != nil {
					return err
				}
				return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{})
			},
			output: func(ss testgrpc.TestService_StreamingOutputCallServer) error { return early(ss.Context()) },
			duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
				return ss.SendHeader(metadata.Pairs("x-early", "1"))
			},
		}, map[string]bool{"client stream": true, "bidi stream": true}},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, tc.service, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
				var header, trailer metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-7")
				_ = kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header), grpc.Trailer(&trailer))
				with, without := trailer, header
				if tc.inHeader[kind.name] {
					with, without = header, trailer
				}
				id := tel.one(t, trace.SpanKindServer).SpanContext().TraceID().String()
				if !slices.Equal(with.Get("x-trace-id"), []string{id}) || !slices.Equal(with.Get("x-request-id"), []string{"req-7"}) ||
					len(without.Get("x-trace-id")) != 0 {
					t.Errorf("header %v, trailer %v", header, trailer)
				}
			})
		}
	}
}

// TestWithoutSDK: where no SDK is installed, ids exist, log lines correlate over
// hops, and one further down that has an SDK joins the trace id and samples as
// it likes.
func TestWithoutSDK(t *testing.T) {
	for _, kind := range callKinds {
		for _, tc := range []struct {
			name, traceparent string
		}{{name: "from nothing"}, {name: "from a caller with one", traceparent: callersTraceparent}} {
			t.Run(kind.name+"/"+tc.name, func(t *testing.T) {
				none := record.WithTracerProvider(noop.NewTracerProvider())
				edge, middle := newTelemetry(t, nil, none), newTelemetry(t, nil, none)
				last := newTelemetry(t, sdktrace.ParentBased(sdktrace.AlwaysSample()))
				lastConn := dialHop(t, middle, last, "passthrough:///last", nil)
				middleConn := serve(t, &service{handle: func(ctx context.Context) error {
					return kind.call(ctx, testgrpc.NewTestServiceClient(lastConn))
				}}, interceptors.ServerOptions(interceptors.Record(middle.recorder)), interceptors.DialOptions(interceptors.Record(edge.recorder)))
				edgeConn := hop(t, edge, "passthrough:///edge", middleConn, kind, nil)

				ctx := t.Context()
				if tc.traceparent != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", tc.traceparent)
				}
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(edgeConn)); err != nil {
					t.Fatal(err)
				}
				span := last.one(t, trace.SpanKindServer)
				id := span.SpanContext().TraceID().String()
				if tc.traceparent != "" && id != callersTrace {
					t.Errorf("trace id %s, want the caller's %s", id, callersTrace)
				}
				if !span.SpanContext().IsSampled() {
					t.Error("the SDK was kept from sampling")
				}
				if tc.traceparent == "" && span.Parent().IsValid() {
					t.Errorf("the span has the parent %v, which no tracer knows", span.Parent())
				}
				for _, tel := range []*telemetry{edge, middle, last} {
					for _, line := range tel.logs.all(t) {
						if line["trace_id"] != id {
							t.Errorf("line %v: trace_id %v, want %v", line["msg"], line["trace_id"], id)
						}
						if s, _ := line["span_id"].(string); len(s) != 16 {
							t.Errorf("line %v: span_id %q", line["msg"], s)
						}
					}
				}
			})
		}
	}
}
