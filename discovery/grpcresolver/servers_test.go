// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

const roundRobin = `{"loadBalancingConfig": [{"round_robin": {}}]}`

// server is one that answers, and counts connections and calls.
type server struct {
	testgrpc.UnimplementedTestServiceServer
	address string
	grpc    *grpc.Server
	conns   atomic.Int64
	calls   atomic.Int64
}

func (s *server) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	s.calls.Add(1)
	return &testgrpc.SimpleResponse{ServerId: s.address}, nil
}

func (s *server) instance(n int) discovery.Instance {
	in := order(n)
	in.Address = s.address
	return in
}

// counting counts the connections it accepts.
type counting struct {
	net.Listener
	n *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

// serve begins to serve on a listener; the server ends with the test.
func serve(t testing.TB, address string, lis net.Listener, opts ...grpc.ServerOption) *server {
	t.Helper()
	s := &server{address: address, grpc: grpc.NewServer(opts...)}
	testgrpc.RegisterTestServiceServer(s.grpc, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.grpc.Serve(counting{lis, &s.conns}) })
	t.Cleanup(func() { s.grpc.Stop(); wg.Wait() })
	return s
}

// listen serves on a port of loopback.
func listen(t testing.TB, opts ...grpc.ServerOption) *server {
	t.Helper()
	lis := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	return serve(t, lis.Addr().String(), lis, opts...)
}

// network is where servers are in a bubble.
type network struct {
	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
}

func (n *network) serve(t testing.TB, number int) *server {
	t.Helper()
	address := fmt.Sprintf("10.0.0.%d:8443", number)
	lis := bufconn.Listen(1 << 16)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]*bufconn.Listener{}
	}
	n.listeners[address] = lis
	return serve(t, address, lis)
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	lis := n.listeners[address]
	n.mu.Unlock()
	if lis == nil {
		return nil, fmt.Errorf("no server at %s", address)
	}
	return lis.DialContext(ctx)
}

func (n *network) dialOption() grpc.DialOption { return grpc.WithContextDialer(n.dial) }

// dial makes a connection, which is closed with the test.
func dial(t testing.TB, b *grpcresolver.Builder, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	return dialTLS(t, b, target, insecure.NewCredentials(), opts...)
}

func dialTLS(t testing.TB, b *grpcresolver.Builder, target string, creds credentials.TransportCredentials, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{
		grpc.WithResolvers(b), grpc.WithNoProxy(), grpc.WithTransportCredentials(creds), grpc.WithDefaultServiceConfig(roundRobin),
	}, opts...)
	conn := must[*grpc.ClientConn](t)(grpc.NewClient(target, opts...))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// call makes one call and returns the address of who answered.
func call(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) (string, error) {
	var p peer.Peer
	resp, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{}, append(opts, grpc.Peer(&p))...)
	return resp.GetServerId(), err
}
