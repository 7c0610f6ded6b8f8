// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// TestUnaryRecordAgrees: span, log line, metric and answer of one call say the same.
func TestUnaryRecordAgrees(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	client := recorded(t, tel, &service{unary: func(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
		ctxutil.Add(ctx, slog.String("order_id", "o-1"))
		return &testgrpc.SimpleResponse{Username: "u"}, nil
	}})
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-7")
	if _, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Header(&header)); err != nil {
		t.Fatal(err)
	}
	server, cl := tel.one(t, trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
	if server.Parent().SpanID() != cl.SpanContext().SpanID() || server.SpanContext().TraceID() != cl.SpanContext().TraceID() {
		t.Errorf("server span's parent is %v, want the client span %v", server.Parent(), cl.SpanContext())
	}
	if got, want := server.Name(), "grpc.testing.TestService/UnaryCall"; got != want {
		t.Errorf("server span is %q, want %q", got, want)
	}
	attrs := attrsOf(server)
	if got := attrs["rpc.response.status_code"].AsString(); got != "OK" {
		t.Errorf("rpc.response.status_code = %q, want OK", got)
	}
	if got := attrs["order_id"].AsString(); got != "o-1" {
		t.Errorf("order_id on the span = %q, want o-1", got)
	}
	if got := attrsOf(cl)["server.address"].AsString(); got != "inventory" {
		t.Errorf("server.address on the client span = %q, want the name dialled", got)
	}

	line := tel.logs.withMessage(t, "rpc server call")
	for key, want := range map[string]any{
		"trace_id":                 server.SpanContext().TraceID().String(),
		"span_id":                  server.SpanContext().SpanID().String(),
		"rpc.method":               "grpc.testing.TestService/UnaryCall",
		"rpc.response.status_code": "OK",
		"request_id":               "req-7",
		"order_id":                 "o-1",
		"level":                    "INFO",
		"duration_ms":              float64(server.EndTime().Sub(server.StartTime())) / float64(time.Millisecond),
		"response_bytes":           3.0,
	} {
		if got := line[key]; got != want {
			t.Errorf("log line: %s = %v, want %v", key, got, want)
		}
	}
	if got := header.Get("x-trace-id"); len(got) != 1 || got[0] != server.SpanContext().TraceID().String() {
		t.Errorf("answered x-trace-id = %v, want %v", got, server.SpanContext().TraceID())
	}
	if got := header.Get("x-request-id"); len(got) != 1 || got[0] != "req-7" {
		t.Errorf("answered x-request-id = %v, want req-7", got)
	}
}

// TestErrorIsOneThing: a failing call has the same code everywhere.
func TestErrorIsOneThing(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	client := recorded(t, tel, &service{unary: func(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
		return nil, status.Error(codes.NotFound, "no such sku")
	}})
	if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); status.Code(err) != codes.NotFound {
		t.Fatalf("err = %v, want NotFound", err)
	}
	server, cl := tel.one(t, trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
	if got := attrsOf(server)["rpc.response.status_code"].AsString(); got != "NOT_FOUND" {
		t.Errorf("server span: code %q", got)
	}
	if server.Status().Code.String() != "Unset" || cl.Status().Code.String() != "Error" {
		t.Errorf("span status: server %v, client %v; want Unset and Error", server.Status(), cl.Status())
	}
	line := tel.logs.withMessage(t, "rpc server call")
	if line["rpc.response.status_code"] != "NOT_FOUND" || line["outcome"] != "client_fault" || line["level"] != "INFO" {
		t.Errorf("server line: %v", line)
	}
	line = tel.logs.withMessage(t, "rpc client call")
	if line["error"] != "no such sku" || line["level"] != "WARN" {
		t.Errorf("client line: %v", line)
	}
}

// TestSizes are on the line of a unary call, as far as there are any, and not
// gathered for lines that nobody writes.
func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		name      string
		handle    func(context.Context) error
		responses any // bytes
	}{
		{"well", nil, 3.0},
		{"failing", fail(codes.Unavailable, "later"), nil},
		{"panicking", func(context.Context) error { panic("broken") }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			client := recorded(t, tel, &service{unary: func(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
				resp := &testgrpc.SimpleResponse{Username: "u"}
				if tc.handle == nil {
					return resp, nil
				}
				return nil, tc.handle(ctx)
			}})
			_, _ = client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{ResponseSize: 7})
			for _, msg := range []string{"rpc client call", "rpc server call"} {
				checkLine(t, tel.logs.withMessage(t, msg), map[string]any{"request_bytes": 2.0, "response_bytes": tc.responses})
			}
		})
	}
}
