// SPDX-License-Identifier: Apache-2.0

// Package policies_test holds gRPC's balancing policies against our resolver that
// bring modules nobody else needs: weighted round robin brings xDS. The others are
// tested beside discovery/grpcbalancer.
package policies_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/weightedroundrobin" // registers itself
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

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

func TestWeightedRoundRobin(t *testing.T) {
	var instances []discovery.Instance
	for range 4 {
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
	defer watcher.Close()
	resolver, err := grpcresolver.New("static", watcher)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("static:///orders", grpc.WithResolvers(resolver), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"weighted_round_robin":{"blackoutPeriod":"1s","weightExpirationPeriod":"180s"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for answered := map[string]bool{}; len(answered) < len(instances); {
		resp, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
		if err != nil {
			t.Fatal(err)
		}
		answered[resp.GetServerId()] = true
	}
}
