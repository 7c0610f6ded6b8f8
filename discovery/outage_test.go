// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestFiveMinutesWithoutRegistry: thirty instances of three services, ten clients of
// each; the registry is dead for five minutes and comes back in one of several states.
// No client ever misses an instance, and after it, everything is registered again,
// once.
func TestFiveMinutesWithoutRegistry(t *testing.T) {
	for _, tc := range []struct {
		name        string
		begin, back func(memory.Faults)
	}{
		{"refuses", func(f memory.Faults) { f.Down(true) }, func(f memory.Faults) { f.Down(false) }},
		{"hangs", func(f memory.Faults) { f.Hang(true) }, func(f memory.Faults) { f.Hang(false) }},
		{"loses its memory", func(f memory.Faults) { f.Down(true); f.Forget() }, func(f memory.Faults) { f.Down(false) }},
		{"loses its memory and is slow", func(f memory.Faults) { f.Hang(true); f.Forget() }, func(f memory.Faults) { f.Hang(false); f.Slow(2 * time.Second) }},
		{"answers with nothing", func(f memory.Faults) { f.Hide(true) }, func(f memory.Faults) { f.Hide(false) }},
		{"forgets all the time", func(f memory.Faults) { f.Forget() }, func(f memory.Faults) { f.Forget() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := memory.New()
				var registrars []*discovery.Registrar
				var subs []*discovery.Subscription
				for s := range 3 {
					service := fmt.Sprint("service-", s)
					for i := range 10 {
						in := discovery.Instance{Service: service, Address: fmt.Sprintf("10.0.%d.%d:80", s, i)}
						registrars = append(registrars, must[*discovery.Registrar](t)(discovery.NewRegistrar(registry, prod, in)))
					}
					for range 10 {
						w := must[*discovery.Watcher](t)(discovery.NewWatcher(registry, prod))
						defer w.Close()
						subs = append(subs, must[*discovery.Subscription](t)(w.Subscribe(discovery.Query{Namespace: prod, Service: service}, nil)))
					}
				}
				time.Sleep(17 * time.Second)
				synctest.Wait()
				for _, s := range subs {
					if s.Snapshot().Instances.Len() != 10 {
						t.Fatalf("before it began: %d instances", s.Snapshot().Instances.Len())
					}
				}
				lost := 0
				look := func(d time.Duration) {
					for range d / (100 * time.Millisecond) {
						time.Sleep(100 * time.Millisecond)
						for _, s := range subs {
							lost += 10 - s.Snapshot().Instances.Len()
						}
					}
				}
				tc.begin(registry.Faults())
				look(5 * time.Minute)
				tc.back(registry.Faults())
				look(2 * time.Minute)
				if lost != 0 {
					t.Errorf("%d times an instance was missing", lost)
				}
				for s := range 3 {
					if got := registry.Instances(discovery.Query{Namespace: prod, Service: fmt.Sprint("service-", s)}); len(got) != 10 {
						t.Errorf("%d entries of ten instances", len(got))
					}
				}
				for _, s := range subs {
					if snap := s.Snapshot(); snap.Origin != live || snap.Hold != none || snap.Err != nil {
						t.Errorf("after it: %+v", snap)
					}
				}
				for _, r := range registrars {
					if st := r.Status(); st.State != discovery.StateVisible {
						t.Errorf("after it: %+v", st)
					}
					deregister(t, r)
				}
				for s := range 3 {
					if got := registry.Instances(discovery.Query{Namespace: prod, Service: fmt.Sprint("service-", s)}); len(got) != 0 {
						t.Errorf("%d ghosts", len(got))
					}
				}
			})
		})
	}
}

// TestDeadInstancesGo: what died while the registry was away is gone soon after it is
// back.
func TestDeadInstancesGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		alive := newRegistrar(t, w.registry, order(1))
		defer deregister(t, alive)
		dies := newRegistrar(t, w.registry, order(2))
		time.Sleep(time.Second)
		w.want(live, none, 1, 2)
		w.registry.Faults().Down(true)
		time.Sleep(time.Minute)
		_ = dies.Deregister(t.Context()) // fails: it is as if the process were killed
		time.Sleep(time.Minute)
		w.want(lastGood, none, 1, 2)
		w.registry.Faults().Down(false)
		// Times to live are over, and the first to look finds nothing.
		w.sub.Refresh()
		w.want(live, discovery.HoldEmpty, 1, 2)
		time.Sleep(10 * time.Second)
		w.want(live, discovery.HoldRecovery, 1, 2)
		time.Sleep(30 * time.Second)
		w.want(live, none, 1)
	})
}

// TestThunderingHerd: hundreds of registrars that lost the same registry do not come
// back in the same instant, and none storms it.
func TestThunderingHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &spy{Registry: memory.New()}
		var registrars []*discovery.Registrar
		for n := range 300 {
			registrars = append(registrars, must[*discovery.Registrar](t)(discovery.NewRegistrar(registry, prod, order(n))))
		}
		time.Sleep(time.Minute)
		registry.taken()
		registry.Registry.(*memory.Registry).Faults().Forget()
		start := time.Now()
		time.Sleep(10 * time.Second)
		perTenth := map[int]int{}
		calls := registry.taken()
		for _, c := range calls {
			perTenth[int(c.at.Sub(start)/(100*time.Millisecond))]++
		}
		most := 0
		for _, n := range perTenth {
			most = max(most, n)
		}
		if len(calls) != 300 || most > 150 {
			t.Errorf("%d registrations, up to %d in a tenth of a second", len(calls), most)
		}
		for _, r := range registrars {
			deregister(t, r)
		}
	})
}
