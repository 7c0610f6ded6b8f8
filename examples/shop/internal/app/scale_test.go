// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/audit"
	"github.com/fairlead-go/fairlead/examples/shop/internal/churn"
	"github.com/fairlead-go/fairlead/examples/shop/internal/registries"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/internal/servers"
)

// The tests of this file take instances and registries away from customers, who are not
// to notice.

// directory watches the services as their callers do.
func directory(t *testing.T, catalog discovery.Catalog, cfg app.Config) *report.Directory {
	t.Helper()
	d, err := report.NewDirectory(t.Context(), catalog, app.DefaultNamespace, app.Scalable(), cfg.Watching()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// wantPlaced checks that all orders were placed, and that the books agree on it.
func (b *bazaar) wantPlaced(got answers) {
	b.t.Helper()
	if placed := got.count(http.StatusCreated); placed < len(got) {
		first := got[slices.IndexFunc(got, func(a answer) bool { return a.status != http.StatusCreated })]
		b.v.errorf("%d of %d orders were placed; the first one that was not, after %v: %d %v", placed, len(got), first.asked, first.status, first.err)
	}
	books, err := audit.Read(b.t.Context(), b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	if books.Confirmed != got.count(http.StatusCreated) || len(books.Wrong) > 0 {
		b.v.errorf("%d orders were placed, and the books say %+v", got.count(http.StatusCreated), books)
	}
}

// churning replaces instances until the function that it returns is called, which
// returns what was done.
func (b *bazaar) churning(d *report.Directory, services ...string) func() []churn.Event {
	c := churn.New(b.shop.(churn.Shop), 300*time.Millisecond, churn.Hooks{Await: func(ctx context.Context, i app.Instance) error {
		return d.Await(ctx, i.Name, i.Addresses.GRPC+i.Addresses.HTTP)
	}}, services...)
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	return func() []churn.Event {
		cancel()
		running.Wait()
		for _, e := range c.Events() {
			if e.Err != nil {
				b.v.errorf("%s was not %s: %v", e.Instance.ID, e.Act, e.Err)
			}
		}
		return c.Events()
	}
}

func TestReplacedWhileCalled(t *testing.T) {
	t.Parallel()
	patiently(t, func(v *verdict) {
		registry, err := registries.Open(t.Context(), registries.Memory, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		cfg := app.Config{Registry: registry.Catalog, Scale: map[string]int{app.Payment: 2, app.Inventory: 3, app.Order: 2}}
		b := openWith(t, v, cfg)
		defer b.close()
		if n := len(b.shop.Instances()); n != 9 {
			t.Fatalf("%d instances, want 9", n)
		}
		d := directory(t, registry.Catalog, cfg)
		end := b.churning(d, app.Scalable()...)
		got := b.buy(60, 3*time.Second)
		events := end()

		b.wantPlaced(got)
		if n := churn.Count(events, churn.Ended); n < 4 {
			v.errorf("%d instances were ended, want more", n)
		}
		for _, l := range d.Listings() {
			if len(l.Addresses) != cfg.Scale[l.Service] {
				v.errorf("%s is called at %v, want %d addresses", l.Service, l.Addresses, cfg.Scale[l.Service])
			}
		}
		t.Logf("%d orders, %d instances ended", len(got), churn.Count(events, churn.Ended))
	})
}

func TestKilledWhileCalled(t *testing.T) {
	servers.Need(t, registries.Etcd)
	t.Parallel()
	patiently(t, func(v *verdict) {
		registry, err := registries.Open(t.Context(), registries.Etcd, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		defer closeRegistry(t, registry)
		cfg := app.Config{Registry: registry.Catalog, Scale: map[string]int{app.Payment: 2, app.Inventory: 2}}
		b := newBazaar(t, v)
		var started []*exec.Cmd
		command := func(service, peers string) *exec.Cmd {
			env := append(registry.Env, "SHOP_TEST_REGISTRY="+registries.Etcd)
			started = append(started, children{}.command(t, b.dir, env...)(service, peers))
			return started[len(started)-1]
		}
		if b.shop, err = app.StartProcesses(t.Context(), cfg, command); err != nil {
			t.Fatal(err)
		}
		end := sync.OnceFunc(func() { b.close() })
		defer end()
		b.enter()
		d := directory(t, registry.Catalog, cfg)
		endChurn := b.churning(d, app.Payment, app.Inventory)
		got := b.buy(40, 4*time.Second)
		events := endChurn()

		b.wantPlaced(got) // what was under way at one that was killed is asked for again
		end()
		killed := 0
		for _, cmd := range started {
			if cmd.ProcessState != nil && cmd.ProcessState.String() == "signal: killed" {
				killed++
			}
		}
		if n := churn.Count(events, churn.Killed); n < 2 || n != killed {
			v.errorf("%d instances were killed, and %d processes died of it; want more, and as many", n, killed)
		}
		t.Logf("%d orders, %d instances ended, %d killed", len(got), churn.Count(events, churn.Ended), killed)
	})
}

func TestRegistryAway(t *testing.T) {
	for _, kind := range []string{registries.Memory, registries.Consul, registries.Etcd} {
		t.Run(kind, func(t *testing.T) {
			if kind != registries.Memory {
				servers.Need(t, kind)
			}
			t.Parallel()
			patiently(t, func(v *verdict) { registryAway(t, v, kind) })
		})
	}
}

// registryAway takes the registry away for a while, when customers buy.
func registryAway(t *testing.T, v *verdict, kind string) {
	registry, err := registries.Open(t.Context(), kind, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer closeRegistry(t, registry)
	cfg := app.Config{Registry: registry.Catalog}
	b := openWith(t, v, cfg)
	defer b.close()
	d := directory(t, registry.Catalog, cfg)
	before := d.Listings()
	var outage sync.WaitGroup
	outage.Go(func() {
		<-time.After(500 * time.Millisecond)
		if err := registry.Outage(t.Context(), 700*time.Millisecond); err != nil {
			t.Error(err)
		}
	})
	got := b.buy(50, 2*time.Second)
	outage.Wait()

	b.wantPlaced(got)
	// Once the registry is back, who was there is there, and nobody else.
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); <-time.After(20 * time.Millisecond) {
		if settled(d) {
			break
		}
	}
	after := d.Listings()
	for i, l := range after {
		if !slices.Equal(l.Addresses, before[i].Addresses) || l.Held > 0 || l.Went > 0 {
			v.errorf("after the outage: %+v, before: %+v", l, before[i])
		}
	}
	moves := d.Moves()
	if !slices.ContainsFunc(moves, func(m report.Move) bool { return m.Service == "" && !m.Came && m.Why != "" }) {
		v.errorf("nobody noticed that the registry was away: %+v", moves)
	}
}

// settled reports whether all that is called is listed.
func settled(d *report.Directory) bool {
	back := false
	for _, m := range d.Moves() {
		if m.Service == "" {
			back = m.Came
		}
	}
	return back && !slices.ContainsFunc(d.Listings(), func(l report.Listing) bool { return l.Held > 0 })
}

func closeRegistry(t *testing.T, r *registries.Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestFleet(t *testing.T) {
	shop, err := app.Start(t.Context(), app.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, shop)
	if _, err := shop.Add(t.Context(), "warehouse"); err == nil || !strings.Contains(err.Error(), `no service "warehouse"`) {
		t.Errorf("Add of an unknown service: %v", err)
	}
	added, err := shop.Add(t.Context(), app.Order)
	if err != nil || added.ID != "order-2" || added.Name != app.Order || added.Addresses.GRPC == "" {
		t.Errorf("Add = %+v, %v; want the second one of its service", added, err)
	}
	if err := shop.End(t.Context(), "order-1"); err != nil {
		t.Errorf("End: %v", err)
	}
	if err := shop.End(t.Context(), "order-1"); err == nil || !strings.Contains(err.Error(), `no instance "order-1"`) {
		t.Errorf("End of one that has ended: %v", err)
	}
	for _, i := range shop.Instances() {
		if i.ID == "order-1" {
			t.Error("an instance that has ended is listed")
		}
	}
	if _, ok := shop.(app.Killer); ok {
		t.Error("instances that share a process cannot be killed one by one")
	}
	if got := visit(t, shop, 40); got.Unexpected > 0 {
		t.Errorf("%d requests did not end as they should: %+v", got.Unexpected, got.LastUnexpected)
	}
}
