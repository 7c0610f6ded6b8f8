// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestSnapshotAllocatesNothing: it is what a picker may ask for each call.
func TestSnapshotAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.put(numbers(0, 100)...)
		if got := testing.AllocsPerRun(100, func() {
			s := w.sub.Snapshot()
			if s.Instances.Get("order-00050") == nil || s.Instances.Len() != 100 {
				t.Error("wrong")
			}
			for in := range s.Instances.All() {
				_ = in
			}
		}); got > 0 {
			t.Errorf("%v allocations, want 0", got)
		}
	})
}

// goroutines counts them. While the collector frees stacks, the runtime counts those that
// ended, too.
func goroutines() int {
	runtime.GC()
	return runtime.NumGoroutine()
}

// TestIdleCost: one goroutine for a service, however many there are who want to know.
func TestIdleCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(memory.New(), prod))
		before := goroutines()
		for s := range 10 {
			for range 100 {
				must[*discovery.Subscription](t)(watcher.Subscribe(discovery.Query{Namespace: prod, Service: fmt.Sprint("service-", s)}, func(*discovery.Snapshot) {}))
			}
		}
		synctest.Wait()
		// Other tests' goroutines may come and go; a hundred would be ours.
		if got := goroutines() - before; got < 5 || got > 15 {
			t.Errorf("%d goroutines for 10 services with 1000 subscriptions, want 10", got)
		}
		watcher.Close()
	})
}

// TestNothingLeaks opens and closes a thousand subscriptions, and twenty watchers and
// registrars.
func TestNothingLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(registry, prod))
		before := goroutines()
		for range 1000 {
			sub := must[*discovery.Subscription](t)(watcher.Subscribe(orders, nil))
			must[*discovery.Snapshot](t)(sub.Next(t.Context()))
			sub.Close()
		}
		for n := range 20 {
			w := must[*discovery.Watcher](t)(discovery.NewWatcher(registry, prod))
			must[*discovery.Subscription](t)(w.Subscribe(orders, nil))
			r := newRegistrar(t, registry, order(n))
			time.Sleep(time.Minute)
			deregister(t, r)
			w.Close()
		}
		synctest.Wait()
		if got := goroutines() - before; got > 10 {
			t.Errorf("%d goroutines are left", got)
		}
		watcher.Close()
	})
}

// BenchmarkDelivery is the time from a change in the registry to who is notified of it,
// with the registry in memory: what the core adds to a registry's own time.
func BenchmarkDelivery(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			registry := memory.New()
			for _, in := range ordersTo(n) {
				r := must[discovery.Registration](b)(registry.Registration(in))
				if _, err := r.Register(b.Context(), time.Hour, in.Health); err != nil {
					b.Fatal(err)
				}
			}
			watcher := must[*discovery.Watcher](b)(discovery.NewWatcher(registry, prod))
			defer watcher.Close()
			delivered := make(chan struct{}, 1)
			must[*discovery.Subscription](b)(watcher.Subscribe(orders, func(*discovery.Snapshot) { delivered <- struct{}{} }))
			<-delivered
			light, heavy := order(3), order(3)
			heavy.Weight = 2
			var regs [2]discovery.Registration
			for i, in := range []discovery.Instance{heavy, light} {
				regs[i] = must[discovery.Registration](b)(registry.Registration(in))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := regs[i%2].Register(b.Context(), time.Hour, discovery.HealthPassing); err != nil {
					b.Fatal(err)
				}
				<-delivered
			}
		})
	}
}
