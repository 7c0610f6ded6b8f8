// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/static"
)

func Example() {
	// Two instances of a service, one in our zone and one elsewhere.
	var orders []discovery.Instance
	for _, zone := range []string{"eu-1a", "eu-1b"} {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		server := grpc.NewServer()
		healthgrpc.RegisterHealthServer(server, health.NewServer())
		go func() { _ = server.Serve(lis) }()
		defer server.Stop()
		orders = append(orders, discovery.Instance{Namespace: "dev", Service: "orders", Address: lis.Addr().String(), Zone: zone})
	}
	registry, err := static.New(orders...)
	if err != nil {
		log.Fatal(err)
	}
	watcher, err := discovery.NewWatcher(registry, "dev")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()
	resolver, err := grpcresolver.New("static", watcher)
	if err != nil {
		log.Fatal(err)
	}

	monitor := grpcbalancer.NewMonitor(nil)
	conn, err := grpc.NewClient("static:///orders",
		grpc.WithResolvers(monitor.Resolver(resolver)),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"fairlead": {"zone": "eu-1b"}}]}`),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	ctx := context.Background()
	for range 100 {
		if _, err := healthgrpc.NewHealthClient(conn).Check(ctx, &healthgrpc.HealthCheckRequest{}); err != nil {
			log.Fatal(err)
		}
	}
	for b, service := range monitor.All() {
		picks := b.Stats().Picks
		fmt.Println(service, picks.Local+picks.Spilled) // in our zone, and before that was connected
	}
	// Output: orders 100
}

func ExampleNewMonitor() {
	registry, err := static.New(discovery.Instance{Namespace: "dev", Service: "orders", Address: "127.0.0.1:1"})
	if err != nil {
		log.Fatal(err)
	}
	watcher, err := discovery.NewWatcher(registry, "dev")
	if err != nil {
		log.Fatal(err)
	}
	defer watcher.Close()
	resolver, err := grpcresolver.New("static", watcher)
	if err != nil {
		log.Fatal(err)
	}
	monitor := grpcbalancer.NewMonitor(nil)
	conn, err := grpc.NewClient("static:///orders",
		grpc.WithResolvers(monitor.Resolver(resolver)),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"fairlead": {"polcy": "random"}}]}`),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	fmt.Println(conn, err)
	// Output: <nil> grpc: the provided default service config is invalid: error parsing config for policy "fairlead": grpcbalancer: config: json: unknown field "polcy"
}
