// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// TestMemoryPerInstance bounds what a watcher and its watch keep of an instance, of
// 10,000.
func TestMemoryPerInstance(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps more")
	}
	agent, b := newAgent(t)
	const count, limit = 10_000, 1024
	for n := range count {
		err := agent.Put(entry(func(e *api.ServiceEntry) {
			e.Service.Address, e.Service.Port = fmt.Sprintf("10.0.%d.%d", n>>8, n&255), 8443
			e.Service.ID = "prod--order:order@" + e.Service.Address + ":8443"
			e.Service.Meta = map[string]string{"fairlead-namespace": "prod", "fairlead-zone": "eu-1a", "fairlead-version": "1.2.3", "team": "checkout"}
			e.Checks = api.HealthChecks{{CheckID: "serfHealth", Status: "passing"}, {CheckID: "c", Status: "passing", ServiceID: e.Service.ID}}
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	w, err := discovery.NewWatcher(b, "prod")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	sub, err := w.Subscribe(order, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := sub.Snapshot().Instances.Len(); n != count {
		t.Fatalf("%d instances", n)
	}
	each := (int64(heap()) - int64(before)) / count
	t.Logf("%d bytes for each instance", each)
	if each > limit {
		t.Errorf("%d bytes for each instance, want at most %d", each, limit)
	}
}

func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
