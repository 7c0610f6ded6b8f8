// SPDX-License-Identifier: Apache-2.0

package grpchealth_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/health/grpchealth"
)

// backend is a real server on loopback that says its name.
type backend struct {
	testgrpc.UnimplementedTestServiceServer
	*process
	name, addr string
	grpc       *grpc.Server
}

func (b *backend) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Username: b.name}, nil
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	b := &backend{process: newProcess(t, health.WithInterval(20*time.Millisecond)), name: name, grpc: grpc.NewServer()}
	testgrpc.RegisterTestServiceServer(b.grpc, b)
	grpc_health_v1.RegisterHealthServer(b.grpc, b.server)
	b.server.AddRegistered(b.grpc)
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	b.set.Start()
	done := make(chan error, 1)
	go func() { done <- b.grpc.Serve(l) }()
	t.Cleanup(func() {
		b.grpc.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// until calls until the callees are as wanted, for twenty calls in a row, and returns how
// many of all the calls failed.
func until(t *testing.T, client testgrpc.TestServiceClient, want ...string) (failed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		got := map[string]int{}
		for range 20 {
			resp, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
			if err != nil {
				failed++
			}
			got[resp.GetUsername()]++
		}
		all := len(got) == len(want)
		for _, name := range want {
			all = all && got[name] > 0
		}
		if all {
			return failed
		}
		if ctx.Err() != nil {
			t.Fatalf("callees %v, want %v", got, want)
		}
	}
}

// TestClientSideHealth: a backend that does not serve is not picked, on a connection that
// works; and is again.
func TestClientSideHealth(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := manual.NewBuilderWithScheme("static")
	r.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: a.addr}, {Addr: b.addr}}})
	conn, err := grpc.NewClient("static:///test", grpc.WithResolvers(r), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"grpc.testing.TestService"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := testgrpc.NewTestServiceClient(conn)
	failed := until(t, client, "a", "b")
	b.db.down.Store(true)
	failed += until(t, client, "a")
	b.db.down.Store(false)
	failed += until(t, client, "a", "b")
	a.set.Stop()
	failed += until(t, client, "b")
	if failed != 0 {
		t.Errorf("%d calls failed, want 0", failed)
	}
}

// TestGracefulStop does not wait for those who watch.
func TestGracefulStop(t *testing.T) {
	b := newBackend(t, "a")
	conn, err := grpc.NewClient(b.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := b.set.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := grpchealth.Check(conn, "shop.Orders")(t.Context()); err != nil {
		t.Error(err)
	}
	stream, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), request(""))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := stream.Recv(); err != nil || resp.GetStatus() != serving {
		t.Fatalf("%v, %v", resp, err)
	}
	b.set.Stop()
	if resp, err := stream.Recv(); err != nil || resp.GetStatus() != notServing {
		t.Fatalf("%v, %v", resp, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.server.Close()
		b.grpc.GracefulStop()
	}()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("GracefulStop waits for a watch")
	}
	if _, err := stream.Recv(); status.Code(err).String() != "Unavailable" {
		t.Errorf("the watch ended with %v", err)
	}
	if err := grpchealth.Check(conn, "")(t.Context()); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Check of a server that is gone: %v", err)
	}
}
