// SPDX-License-Identifier: Apache-2.0

// Package policies_test holds gRPC's balancing policies against our resolver that
// bring modules nobody else needs: weighted round robin and the tests of ring hash
// bring xDS. The others are
// tested beside discovery/grpcbalancer.
package policies_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/ringhash"           // registers itself
	_ "google.golang.org/grpc/balancer/weightedroundrobin" // as does this
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/static"
)

type server struct {
	testgrpc.UnimplementedTestServiceServer
	name string
}

func (s *server) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{ServerId: s.name}, nil
}

// dial connects to n servers through our resolver.
func dial(t *testing.T, n int, policy string) testgrpc.TestServiceClient {
	t.Helper()
	var instances []discovery.Instance
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		testgrpc.RegisterTestServiceServer(s, &server{name: l.Addr().String()})
		done := make(chan struct{})
		go func() { _ = s.Serve(l); close(done) }()
		t.Cleanup(func() { s.Stop(); <-done })
		instances = append(instances, discovery.Instance{Namespace: "test", Service: "orders", Address: l.Addr().String()})
	}
	registry, err := static.New(instances...)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := discovery.NewWatcher(registry, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() })
	resolver, err := grpcresolver.New("static", watcher)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("static:///orders", grpc.WithResolvers(resolver), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[`+policy+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

func call(ctx context.Context, t *testing.T, client testgrpc.TestServiceClient) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	resp, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return resp.GetServerId()
}

func TestWeightedRoundRobin(t *testing.T) {
	client := dial(t, 4, `{"weighted_round_robin":{"blackoutPeriod":"1s","weightExpirationPeriod":"180s"}}`)
	for answered := map[string]bool{}; len(answered) < 4; {
		answered[call(t.Context(), t, client)] = true
	}
}

// TestRingHash: ring_hash takes the key of a call from a header only in a process that
// was started with a variable of gRPC's (gRFC A76), so that the test starts itself with
// that.
func TestRingHash(t *testing.T) {
	const variable = "GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY"
	if os.Getenv(variable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRingHash$")
		cmd.Env = append(os.Environ(), variable+"=true")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	client := dial(t, 3, `{"ring_hash_experimental":{"requestHashHeader":"x-user"}}`)
	answered := map[string]bool{}
	for user := range 50 {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user", fmt.Sprint(user))
		first := call(ctx, t, client)
		for range 2 {
			if again := call(ctx, t, client); again != first {
				t.Errorf("user %d is answered by %s and %s", user, first, again)
			}
		}
		answered[first] = true
	}
	if len(answered) != 3 {
		t.Errorf("%d servers answered 50 users, want 3", len(answered))
	}
}
