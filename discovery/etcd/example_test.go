// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/discovery/etcd/internal/etcdtest"
)

// A server registers, and a client finds it.
func Example() {
	server := etcdtest.New() // an etcd in memory
	defer server.Stop()
	registry, err := etcd.New(etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(server.Dial))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	registrar, err := discovery.NewRegistrar(registry, "prod", discovery.Instance{Service: "order", Address: "10.0.0.7:8443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := registrar.Ready(ctx); err != nil {
		fmt.Println(err)
		return
	}
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
	snapshot, err := sub.Next(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for in := range snapshot.Instances.All() {
		fmt.Println(in)
	}
	fmt.Println(registrar.Deregister(ctx))
	// Output:
	// prod/order/order@10.0.0.7:8443 at 10.0.0.7:8443
	// <nil>
}

// Settings come from the environment, and say where they came from.
func ExampleFromEnv() {
	env := map[string]string{"ETCD_ENDPOINTS": "etcd-1:2379,etcd-2:2379", "ETCDCTL_USER": "order", "ETCDCTL_PASSWORD": "secret"}
	settings := discovery.NewSettings(func(name string) (string, bool) { v, ok := env[name]; return v, ok }) // os.LookupEnv
	registry, err := etcd.FromEnv(settings, etcd.WithPrefix("platform/registry"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	for _, s := range registry.Settings()[:4] {
		fmt.Println(s)
	}
	// Output:
	// endpoints = https://etcd-1:2379,https://etcd-2:2379 (ETCD_ENDPOINTS)
	// prefix = platform/registry (option)
	// user = (set) (ETCDCTL_USER)
	// password = (set) (ETCDCTL_PASSWORD)
}

// A patrol asks the members of the cluster how they are.
func ExampleBackend_Inspect() {
	server := etcdtest.New()
	defer server.Stop()
	registry, err := etcd.New(etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(server.Dial))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	cluster, err := registry.Inspect(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range cluster.Members {
		fmt.Println(m.Name, m.Address, m.Health, "leads:", m.Leader, "term:", m.Term)
	}
	// Output:
	// fake http://etcd:2379 passing leads: true term: 1
}

// A sweep finds what was written without a lease, and would be there for ever.
func ExampleBackend_Entries() {
	server := etcdtest.New()
	defer server.Stop()
	registry, err := etcd.New(etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(server.Dial))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = registry.Close() }()
	ghost, err := discovery.EncodeInstance(discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.9:8443"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server.Put("fairlead/prod/order/order@10.0.0.9:8443", ghost, 0)
	sweep, err := discovery.NewSweep(registry, "prod")
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := sweep.Pass(context.Background())
	fmt.Println(report.Leftovers[0], err)
	// Output:
	// immortal: fairlead/prod/order/order@10.0.0.9:8443 <nil>
}
