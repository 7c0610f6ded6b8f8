// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a test service whose methods do what handle says once they have
// the request: streams have then been read to their end, and answered with as
// many messages as came, or two. A method may be replaced as a whole.
type service struct {
	testgrpc.UnimplementedTestServiceServer
	handle func(context.Context) error
	unary  func(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error)
	duplex func(testgrpc.TestService_FullDuplexCallServer) error
	input  func(testgrpc.TestService_StreamingInputCallServer) error
	output func(testgrpc.TestService_StreamingOutputCallServer) error
}

func (s *service) do(ctx context.Context) error {
	if s.handle == nil {
		return nil
	}
	return s.handle(ctx)
}

func (s *service) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if s.unary != nil {
		return s.unary(ctx, r)
	}
	return &testgrpc.SimpleResponse{}, s.do(ctx)
}

func (s *service) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	if s.duplex != nil {
		return s.duplex(ss)
	}
	for {
		if _, err := ss.Recv(); err == io.EOF {
			return s.do(ss.Context())
		} else if err != nil {
			return err
		}
		if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
}

func (s *service) StreamingInputCall(ss testgrpc.TestService_StreamingInputCallServer) error {
	if s.input != nil {
		return s.input(ss)
	}
	for {
		if _, err := ss.Recv(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := s.do(ss.Context()); err != nil {
		return err
	}
	return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{})
}

func (s *service) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	if s.output != nil {
		return s.output(ss)
	}
	for range 2 {
		if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
	}
	return s.do(ss.Context())
}

// callKind is one kind of call, made from its start to its end.
type callKind struct {
	name   string
	method string
	call   func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption) error
	// sent and received are the messages of a stream as its client counts them
	// when the handler succeeds, and when it fails.
	sent, received, receivedFailing float64
}

var callKinds = []callKind{
	{name: "unary", method: "grpc.testing.TestService/UnaryCall", call: callUnary},
	{name: "client stream", method: "grpc.testing.TestService/StreamingInputCall", call: callInput, sent: 2, received: 1},
	{name: "server stream", method: "grpc.testing.TestService/StreamingOutputCall", call: callOutput, sent: 1, received: 2, receivedFailing: 2},
	{name: "bidi stream", method: "grpc.testing.TestService/FullDuplexCall", call: callDuplex, sent: 2, received: 2, receivedFailing: 2},
}

func callUnary(ctx context.Context, c testgrpc.TestServiceClient, opts ...grpc.CallOption) error {
	_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, opts...)
	return err
}

func callInput(ctx context.Context, c testgrpc.TestServiceClient, opts ...grpc.CallOption) error {
	cs, err := c.StreamingInputCall(ctx, opts...)
	if err != nil {
		return err
	}
	for range 2 {
		if err := cs.Send(&testgrpc.StreamingInputCallRequest{}); err != nil {
			break // CloseAndRecv has the status
		}
	}
	_, err = cs.CloseAndRecv()
	return err
}

func callOutput(ctx context.Context, c testgrpc.TestServiceClient, opts ...grpc.CallOption) error {
	cs, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{}, opts...)
	if err != nil {
		return err
	}
	return drain(cs)
}

func callDuplex(ctx context.Context, c testgrpc.TestServiceClient, opts ...grpc.CallOption) error {
	cs, err := c.FullDuplexCall(ctx, opts...)
	if err != nil {
		return err
	}
	for range 2 {
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			break
		}
		if _, err := cs.Recv(); err != nil {
			return err
		}
	}
	if err := cs.CloseSend(); err != nil {
		return err
	}
	return drain(cs)
}

// drain receives until the end, and returns nil if that was a good one.
func drain(cs interface {
	Recv() (*testgrpc.StreamingOutputCallResponse, error)
}) error {
	for {
		if _, err := cs.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// serve runs srv on loopback memory and returns a connection to it.
func serve(t testing.TB, srv testgrpc.TestServiceServer, so []grpc.ServerOption, do []grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return serveAt(t, "passthrough:///inventory", srv, so, do)
}

// serveAt is serve under another target.
func serveAt(t testing.TB, target string, srv testgrpc.TestServiceServer, so []grpc.ServerOption, do []grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	do = append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	}, do...)
	return serveOn(t, lis, target, srv, so, do)
}

// serveTCP is serve over a real socket, under its address.
func serveTCP(t testing.TB, srv testgrpc.TestServiceServer, so []grpc.ServerOption, do []grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, lis, "passthrough:///"+lis.Addr().String(), srv, so, do)
}

func serveOn(t testing.TB, lis net.Listener, target string, srv testgrpc.TestServiceServer, so []grpc.ServerOption, do []grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	s := grpc.NewServer(so...)
	testgrpc.RegisterTestServiceServer(s, srv)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	do = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, do...)
	cc, err := grpc.NewClient(target, do...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		s.Stop()
		wg.Wait()
	})
	return cc
}

// recorded runs srv with tel's records on both sides, and recovery.
func recorded(t testing.TB, tel *telemetry, srv *service) testgrpc.TestServiceClient {
	t.Helper()
	cc := serve(t, srv,
		interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery()),
		interceptors.DialOptions(interceptors.Record(tel.recorder)))
	return testgrpc.NewTestServiceClient(cc)
}
