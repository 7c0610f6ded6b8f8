// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// Example registers a server and finds it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	registry := memory.New()

	registrar, err := discovery.NewRegistrar(registry, "dev", discovery.Instance{Service: "order", Address: "10.0.0.7:8443", Zone: "eu-west-1a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	watcher, err := discovery.NewWatcher(registry, "dev")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watcher.Close()

	sub, err := watcher.Subscribe(discovery.Query{Namespace: "dev", Service: "order"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sub.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for in := range sub.Snapshot().Instances.All() {
		fmt.Println(in.ID, in.Address, in.Zone)
	}
	fmt.Println(registrar.Deregister(ctx))
	// Output:
	// order@10.0.0.7:8443 10.0.0.7:8443 eu-west-1a
	// <nil>
}

// ExampleSubscription_Next follows a service and says what changed.
func ExampleSubscription_Next() {
	ctx := context.Background()
	registry := memory.New()
	register := func(address string) {
		r, _ := registry.Registration(discovery.Instance{Namespace: "dev", Service: "order", Address: address})
		_, _ = r.Register(ctx, time.Minute, discovery.HealthPassing)
	}
	register("10.0.0.1:80")

	watcher, _ := discovery.NewWatcher(registry, "dev")
	defer watcher.Close()
	sub, _ := watcher.Subscribe(discovery.Query{Namespace: "dev", Service: "order"}, nil)
	var known *discovery.Set
	for range 2 {
		snapshot, err := sub.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, in := range snapshot.Instances.Diff(known).Added {
			fmt.Println("version", snapshot.Version, "new:", in.Address)
		}
		known = snapshot.Instances
		register("10.0.0.2:80")
	}
	// Output:
	// version 1 new: 10.0.0.1:80
	// version 2 new: 10.0.0.2:80
}

// ExampleNewRegistrar_foreign shows that a process cannot register in another
// environment by mistake.
func ExampleNewRegistrar_foreign() {
	namespace := discovery.DefaultNamespace // nobody said where this process runs
	_, err := discovery.NewRegistrar(memory.New(), namespace, discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"})
	fmt.Println(err)
	// Output:
	// discovery: foreign namespace: service "order" for "prod" from a process of "dev": nothing was registered. If it does belong there, run it with OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod
}

// ExampleObserver shows what an outage looks like.
func ExampleObserver() {
	registry := memory.New()
	r, _ := registry.Registration(discovery.Instance{Namespace: "dev", Service: "order", Address: "10.0.0.1:80"})
	_, _ = r.Register(context.Background(), time.Minute, discovery.HealthPassing)

	watcher, _ := discovery.NewWatcher(registry, "dev", discovery.WithObserver(discovery.Observer{
		Delivered: func(d discovery.Delivery) {
			fmt.Println(d.Snapshot.Origin, d.Snapshot.Instances.Len(), "instances,", d.Added, "added;", d.Snapshot.Err)
		},
	}))
	sub, _ := watcher.Subscribe(discovery.Query{Namespace: "dev", Service: "order"}, nil)
	_, _ = sub.Next(context.Background())
	registry.Faults().Down(true)
	_, _ = sub.Next(context.Background())
	watcher.Close()
	// Output:
	// live 1 instances, 1 added; <nil>
	// last-known-good 1 instances, 0 added; memory: the registry is away
}
