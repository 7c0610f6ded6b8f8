// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// TestTooLarge: grpc-go says ResourceExhausted of a message over a limit, as of a
// server that has too much to do. Only its texts tell the two apart, and this test
// tells when they change.
func TestTooLarge(t *testing.T) {
	const limit = 1 << 10
	large := &testgrpc.Payload{Body: make([]byte, 4*limit)}
	echo := &service{
		unary: func(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
			return &testgrpc.SimpleResponse{Payload: large}, nil
		},
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if _, err := ss.Recv(); err != nil {
				return err
			}
			return ss.Send(&testgrpc.StreamingOutputCallResponse{Payload: large})
		},
	}
	unary := func(ctx context.Context, c testgrpc.TestServiceClient, p *testgrpc.Payload) error {
		_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: p})
		return err
	}
	stream := func(ctx context.Context, c testgrpc.TestServiceClient, p *testgrpc.Payload) error {
		cs, err := c.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{Payload: p}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, err = cs.Recv()
		return err
	}
	compressed := grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))
	//nolint:staticcheck // deprecated, still there, and with words of its own
	oldServer, oldClient := grpc.RPCDecompressor(grpc.NewGZIPDecompressor()), grpc.WithCompressor(grpc.NewGZIPCompressor())
	for _, tc := range []struct {
		name    string
		so      []grpc.ServerOption
		do      []grpc.DialOption
		request *testgrpc.Payload
		// unseen: grpc-go answers before it asks an interceptor of the server, or
		// after the last one has returned.
		unseen bool
	}{
		{name: "the client sends it", do: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(limit))}, request: large, unseen: true},
		{name: "the server receives it", so: []grpc.ServerOption{grpc.MaxRecvMsgSize(limit)}, request: large},
		{name: "the server receives it compressed", so: []grpc.ServerOption{grpc.MaxRecvMsgSize(limit)}, do: []grpc.DialOption{compressed}, request: large},
		{name: "the server receives it compressed in the old way", so: []grpc.ServerOption{grpc.MaxRecvMsgSize(limit), oldServer}, do: []grpc.DialOption{oldClient}, request: large},
		{name: "the server sends it", so: []grpc.ServerOption{grpc.MaxSendMsgSize(limit)}},
		{name: "the client receives it", do: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limit))}, unseen: true},
		{name: "the client receives it compressed", do: []grpc.DialOption{compressed, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limit))}, unseen: true},
	} {
		for kind, call := range map[string]func(context.Context, testgrpc.TestServiceClient, *testgrpc.Payload) error{"unary": unary, "stream": stream} {
			t.Run(tc.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, server := newTelemetry(t, sdktrace.AlwaysSample()), newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, echo, append(tc.so, interceptors.ServerOptions(interceptors.Record(server.recorder))...),
						append(tc.do, interceptors.DialOptions(interceptors.Record(client.recorder))...))
					err := call(t.Context(), testgrpc.NewTestServiceClient(cc), tc.request)
					if status.Code(err) != codes.ResourceExhausted {
						t.Fatalf("err = %v, want ResourceExhausted", err)
					}
					if got := interceptors.OutcomeOfCall(t.Context(), err); got != resilience.OutcomeClientFault {
						t.Errorf("the outcome of %q is %v, want client_fault", err, got)
					}
					want := map[string]any{"rpc.response.status_code": "RESOURCE_EXHAUSTED", "outcome": "client_fault"}
					checkLine(t, client.logs.withMessage(t, record.MessageRPCClient), want)
					if kind == "stream" && !tc.unseen {
						synctest.Wait() // the status is sent before the handler hears of it
						checkLine(t, server.logs.withMessage(t, record.MessageRPCServer), want)
					}
				})
			})
		}
	}
}

// TestResourceExhaustedIsOverload: all else is.
func TestResourceExhaustedIsOverload(t *testing.T) {
	for _, text := range []string{"", "quota", "received message larger than max", "grpc: message larger than max"} {
		err := status.Error(codes.ResourceExhausted, text)
		if got := interceptors.OutcomeOfCall(t.Context(), err); got != resilience.OutcomeOverload {
			t.Errorf("the outcome of %q is %v, want overload", err, got)
		}
	}
	err := status.Error(codes.Unavailable, "grpc: received message larger than max")
	if got := interceptors.OutcomeOfCall(t.Context(), err); got != resilience.OutcomeTransient {
		t.Errorf("the outcome of %q is %v, want transient", err, got)
	}
}
