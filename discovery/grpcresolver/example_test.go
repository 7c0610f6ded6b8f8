// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// Example calls a service by its name, and says why it cannot call another.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	// A server, registered.
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := grpc.NewServer()
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(lis) }()
	defer server.Stop()
	registry := memory.New()
	registrar, err := discovery.NewRegistrar(registry, "dev", discovery.Instance{Service: "order", Address: lis.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registrar.Deregister(ctx) }()

	// A client: one watcher and one builder for all connections.
	watcher, err := discovery.NewWatcher(registry, "dev")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watcher.Close()
	resolvers, err := grpcresolver.New("memory", watcher)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range []string{"memory:///order", "memory:///order?ns=prod"} {
		conn, err := grpc.NewClient(target, grpc.WithResolvers(resolvers), grpc.WithNoProxy(),
			grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := healthgrpc.NewHealthClient(conn).Check(ctx, &healthgrpc.HealthCheckRequest{}, grpc.WaitForReady(target == "memory:///order"))
		fmt.Println(resp.GetStatus(), err)
		_ = conn.Close()
	}
	// Output:
	// SERVING <nil>
	// UNKNOWN rpc error: code = Unavailable desc = grpcresolver: target "memory:///order?ns=prod": discovery: foreign namespace: "prod", from a process of "dev": a process sees the services of its own environment alone
}

// ExampleWithServiceConfig gives each service its balancer, for all connections to it.
func ExampleWithServiceConfig() {
	watcher, err := discovery.NewWatcher(memory.New(), "dev")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watcher.Close()
	resolvers, err := grpcresolver.New("memory", watcher, grpcresolver.WithServiceConfig(func(service string) string {
		if service == "cache" {
			return `{"loadBalancingConfig": [{"ring_hash_experimental": {}}]}`
		}
		return `{"loadBalancingConfig": [{"round_robin": {}}]}`
	}))
	fmt.Println(resolvers.Scheme(), err)
	// Output:
	// memory <nil>
}
