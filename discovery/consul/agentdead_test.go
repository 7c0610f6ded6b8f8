// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/snapshot"
)

// TestAgentDead30s kills a real agent and starts it again half a minute later, empty.
// Nobody who resolves meanwhile notices, a new process included; afterwards everything is
// registered again, once.
func TestAgentDead30s(t *testing.T) {
	t.Parallel()
	s := devAgent(t)
	dead := 30 * time.Second
	if testing.Short() {
		dead = 5 * time.Second
	}
	const ns, service, count = "prod", "order", 5
	q := discovery.Query{Namespace: ns, Service: service}
	var registrars []*discovery.Registrar
	var want []string
	for n := range count {
		in := discovery.Instance{Service: service, Address: fmt.Sprintf("10.0.0.%d:8443", n+1)}
		r, err := discovery.NewRegistrar(newBackend(t, consul.WithAddress(s.address)), ns, in, discovery.WithTTL(3*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Deregister(context.WithoutCancel(t.Context())) })
		registrars, want = append(registrars, r), append(want, in.Address)
	}
	dir := t.TempDir()
	sub := subscribe(t, s.address, q, dir)
	waitFor(t, "all are seen", 10*time.Second, func() bool { return slices.Equal(seen(sub), want) })

	s.kill()
	resolved, failed := 0, 0
	var late *discovery.Subscription
	for until := time.Now().Add(dead); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		for _, sub := range []*discovery.Subscription{sub, late} {
			if sub == nil {
				continue
			}
			if resolved++; sub.Snapshot().Problem() != nil || !slices.Equal(seen(sub), want) {
				failed++
			}
		}
		if late == nil && time.Until(until) < dead/2 { // a process that starts without a registry
			late = subscribe(t, s.address, q, dir)
			if err := late.Ready(t.Context()); err != nil {
				t.Errorf("a process that began without a registry: %v", err)
			}
		}
	}
	s.start(t)
	s.ready(t)
	waitFor(t, "all are registered again", 15*time.Second, func() bool {
		resolved++
		if !slices.Equal(seen(sub), want) || !slices.Equal(seen(late), want) {
			failed++
		}
		return !slices.ContainsFunc(registrars, func(r *discovery.Registrar) bool { return r.Status().State != discovery.StateVisible }) &&
			sub.Snapshot().Origin == discovery.OriginLive && sub.Snapshot().Held == 0
	})
	if failed > 0 {
		t.Errorf("%d of %d resolutions failed", failed, resolved)
	}
	t.Logf("%d resolutions in %v without a registry, %d failed", resolved, dead, failed)

	var entries []struct{ Service struct{ ID string } }
	if err := s.get("/v1/health/service/prod--order", &entries); err != nil || len(entries) != count {
		t.Errorf("the registry lists %v (%v), want %d entries", entries, err, count)
	}
	for _, r := range registrars {
		if err := r.Deregister(t.Context()); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "no ghost", 5*time.Second, func() bool { return s.get("/v1/health/service/prod--order", &entries) == nil && len(entries) == 0 })
}

// subscribe is a new process that calls a service.
func subscribe(t *testing.T, address string, q discovery.Query, dir string) *discovery.Subscription {
	t.Helper()
	store, err := snapshot.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, err := discovery.NewWatcher(newBackend(t, consul.WithAddress(address)), q.Namespace,
		discovery.WithStore(store), discovery.WithStoreInterval(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	sub, err := w.Subscribe(q, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// seen returns the addresses that a caller sees, sorted.
func seen(sub *discovery.Subscription) []string {
	var out []string
	for in := range sub.Snapshot().Instances.All() {
		out = append(out, in.Address)
	}
	slices.Sort(out)
	return out
}
