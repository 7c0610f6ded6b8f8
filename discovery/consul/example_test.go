// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"fmt"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
)

// A server that registers itself, and a client that finds it. The agent is one for tests;
// leave out the transport, and it is the one on this host.
func Example() {
	agent := consultest.New()
	defer agent.Close()
	registry, err := consul.New(consul.WithTransport(agent.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	ctx := context.Background()

	registrar, err := discovery.NewRegistrar(registry, "prod", discovery.Instance{Service: "order", Address: "10.0.0.7:8443", Zone: "eu-1a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registrar.Deregister(ctx) }()

	watcher, err := discovery.NewWatcher(registry, "prod")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = watcher.Close() }()
	sub, err := watcher.Subscribe(discovery.Query{Namespace: "prod", Service: "order"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sub.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for in := range sub.Snapshot().Instances.All() {
		fmt.Println(in, "in", in.Zone)
	}
	for _, e := range agent.Entries() {
		fmt.Println("in Consul:", e.Service.Service, "with", e.Service.ID)
	}
	// Output:
	// prod/order/order@10.0.0.7:8443 at 10.0.0.7:8443 in eu-1a
	// in Consul: prod--order with prod--order:order@10.0.0.7:8443
}

// What Consul's own tools take from the environment is taken from there, and can be
// printed with where it came from.
func ExampleFromEnv() {
	environment := map[string]string{"CONSUL_HTTP_ADDR": "https://consul.internal:8501", "CONSUL_HTTP_TOKEN": "s3cret"}
	settings := discovery.NewSettings(func(name string) (string, bool) { v, ok := environment[name]; return v, ok }) // os.LookupEnv
	registry, err := consul.FromEnv(settings)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	for _, s := range registry.Settings()[:4] {
		fmt.Println(s)
	}
	// Output:
	// address = https://consul.internal:8501 (CONSUL_HTTP_ADDR)
	// ssl = false (default)
	// ssl_verify = true (default)
	// token = (set) (CONSUL_HTTP_TOKEN)
}

// How Consul's servers are, for whoever has the right to know.
func ExampleBackend_Inspect() {
	agent := consultest.New()
	defer agent.Close()
	agent.Answer("/v1/operator/raft/configuration", 403, "Permission denied")
	agent.Answer("/v1/status/leader", 200, `"10.1.0.1:8300"`)
	agent.Answer("/v1/status/peers", 200, `["10.1.0.1:8300","10.1.0.2:8300","10.1.0.3:8300"]`)
	registry, err := consul.New(consul.WithTransport(agent.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	cluster, err := registry.Inspect(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	left, voters := cluster.Tolerance()
	fmt.Printf("leader %s of %d, %d may fail\n", cluster.Leader, voters, left)
	// Output:
	// leader 10.1.0.1:8300 of 3, 1 may fail
}
