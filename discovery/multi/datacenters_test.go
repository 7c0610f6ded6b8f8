// SPDX-License-Identifier: Apache-2.0

package multi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// join registers in one registry, and watches through another.
type join struct {
	discovery.Registry
	discovery.Catalog
}

func TestDatacentersConformance(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		eu, us := memory.New(), memory.New()
		d, err := multi.NewDatacenters([]multi.Datacenter{{"eu", eu}, {"us", us}}, discovery.WithBackoff(10*time.Millisecond, 100*time.Millisecond))
		if err != nil {
			t.Fatalf("%v", err)
		}
		j := join{eu, d}
		f := eu.Faults()
		return &discoverytest.Harness{
			Registry: j, Catalog: j,
			Faults: map[discoverytest.Fault]discoverytest.Play{
				discoverytest.Outage:     func(discoverytest.TB) func() { f.Down(true); return func() { f.Down(false) } },
				discoverytest.Hang:       func(discoverytest.TB) func() { f.Hang(true); return func() { f.Hang(false) } },
				discoverytest.Empty:      func(discoverytest.TB) func() { f.Hide(true); return func() { f.Hide(false) } },
				discoverytest.Disconnect: func(discoverytest.TB) func() { f.Cut(); return func() {} },
				discoverytest.Forget:     func(discoverytest.TB) func() { f.Forget(); return func() {} },
			},
		}
	}, discoverytest.InBubble())
}

func put(t testing.TB, r *memory.Registry, n int) discovery.Registration {
	t.Helper()
	reg, err := r.Registration(order(n))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Register(t.Context(), time.Hour, discovery.HealthPassing); err != nil {
		t.Fatal(err)
	}
	return reg
}

// seen takes updates until there is nothing new, and returns what is seen.
func seen(t testing.TB, s discovery.Source, known map[string]bool) string {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		u, err := s.Next(ctx)
		cancel()
		if err != nil {
			break
		}
		if u.Full {
			clear(known)
		}
		for _, id := range u.Remove {
			delete(known, id)
		}
		for _, in := range u.Put {
			known[in.ID] = u.Fallback
		}
	}
	return strings.ReplaceAll(fmt.Sprint(known), "order@10.0.0.", "")
}

func TestDatacentersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eu, us, ap := memory.New(), memory.New(), memory.New()
		d, err := multi.NewDatacenters([]multi.Datacenter{{"eu", eu}, {"us", us}, {"ap", ap}}, discovery.WithJitter(0))
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Watch(t.Context(), orders)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		is := func(want string) {
			t.Helper()
			if got := seen(t, s, known); got != "map["+want+"]" {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		is("")
		put(t, ap, 3)
		is("3:80:true")
		u2 := put(t, us, 2)
		is("2:80:true")
		e1 := put(t, eu, 1)
		is("1:80:false")
		put(t, us, 4)
		is("1:80:false")
		// A registry that is away is not a datacenter that is.
		eu.Faults().Down(true)
		is("1:80:false")
		eu.Faults().Down(false)
		time.Sleep(10 * time.Second)
		if err := e1.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("2:80:true 4:80:true")
		if err := u2.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		is("4:80:true")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDatacentersWaitForThePreferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eu, us := memory.New(), memory.New()
		put(t, eu, 1)
		put(t, us, 2)
		eu.Faults().Slow(2 * time.Second)
		d, err := multi.NewDatacenters([]multi.Datacenter{{"eu", eu}, {"us", us}})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := d.Watch(t.Context(), orders)
		defer s.Close()
		if u, err := s.Next(t.Context()); err != nil || len(u.Put) != 1 || u.Put[0].ID != "order@10.0.0.1:80" || !u.Full || u.Fallback {
			t.Errorf("got %+v, %v", u, err)
		}
	})
}

func TestDatacentersAllAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eu, us := memory.New(), memory.New()
		eu.Faults().Down(true)
		us.Faults().Down(true)
		d, err := multi.NewDatacenters([]multi.Datacenter{{"eu", eu}, {"us", us}}, discovery.WithJitter(0))
		if err != nil {
			t.Fatal(err)
		}
		s, _ := d.Watch(t.Context(), orders)
		defer s.Close()
		if u, err := s.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "datacenter eu: memory: the registry is away") || !strings.Contains(err.Error(), "datacenter us: ") {
			t.Errorf("got %+v, %v", u, err)
		}
		put2 := func() {
			us.Faults().Down(false)
			put(t, us, 2)
		}
		time.AfterFunc(time.Minute, put2)
		if u, err := s.Next(t.Context()); err != nil || !u.Full {
			t.Errorf("got %+v, %v", u, err)
		}
	})
}

func TestNewDatacentersRefuses(t *testing.T) {
	m := memory.New()
	for _, tc := range []struct {
		dcs  []multi.Datacenter
		opts []discovery.WatcherOption
		want string
	}{
		{nil, nil, "must be at least one"},
		{[]multi.Datacenter{{"", m}}, nil, `datacenter 1 "": must have a name of its own`},
		{[]multi.Datacenter{{"eu", m}, {"eu", m}}, nil, `datacenter 2 "eu": must have a name of its own`},
		{[]multi.Datacenter{{"eu", m}}, []discovery.WatcherOption{discovery.WithCallTimeout(0)}, "call timeout 0s"},
	} {
		if _, err := multi.NewDatacenters(tc.dcs, tc.opts...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}

// ExampleNewDatacenters prefers what is near.
func ExampleNewDatacenters() {
	eu, us := memory.New(), memory.New()
	for address, registry := range map[string]*memory.Registry{"10.1.0.1:80": eu, "10.2.0.1:80": us} {
		r, _ := registry.Registration(discovery.Instance{Namespace: "prod", Service: "order", Address: address})
		_, _ = r.Register(context.Background(), time.Minute, discovery.HealthPassing)
	}
	catalog, err := multi.NewDatacenters([]multi.Datacenter{{"eu", eu}, {"us", us}})
	if err != nil {
		fmt.Println(err)
		return
	}
	watcher, _ := discovery.NewWatcher(catalog, "prod")
	defer watcher.Close()
	sub, _ := watcher.Subscribe(discovery.Query{Namespace: "prod", Service: "order"}, nil)
	_ = sub.Ready(context.Background())
	for in := range sub.Snapshot().Instances.All() {
		fmt.Println(in.Address)
	}
	// Output:
	// 10.1.0.1:80
}
