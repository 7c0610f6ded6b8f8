// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// TestLeaving: those who say that they leave are not missed, however many they are;
// those who go without a word are.
func TestLeaving(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var registrars []*discovery.Registrar
		for n := range 10 {
			registrars = append(registrars, newRegistrar(t, w.registry, order(n)))
		}
		w.want(live, none, numbers(0, 10)...)
		for _, r := range registrars[:8] {
			deregister(t, r)
		}
		w.want(live, none, 8, 9)
		w.remove(8) // without a word: one of two is too few for the brake
		w.want(live, none, 9)
		deregister(t, registrars[9])
		if s := w.want(live, discovery.HoldEmpty, 8); s.Held != 1 { // the one that said nothing
			t.Errorf("%d held", s.Held)
		}
		deregister(t, registrars[8])
	})
}

// TestAllLeave: nothing is left, and that is believed.
func TestAllLeave(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := newRegistrar(t, w.registry, order(1)), newRegistrar(t, w.registry, order(2))
		w.want(live, none, 1, 2)
		deregister(t, a)
		deregister(t, b)
		w.want(live, none)
		// One that was held comes back and says that it leaves.
		w.put(3)
		w.remove(3)
		w.want(live, discovery.HoldEmpty, 3)
		c := newRegistrar(t, w.registry, order(3))
		w.want(live, none, 3)
		deregister(t, c)
		w.want(live, none)
	})
}

// TestLeaveTime: callers hear of it before the entry is gone, and a registry that
// cannot be told keeps nobody from ending.
func TestLeaveTime(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []discovery.RegistrarOption
		down bool
		took time.Duration
		seen discovery.Health
	}{
		{"the default", nil, false, 100 * time.Millisecond, discovery.HealthLeaving},
		{"a second", []discovery.RegistrarOption{discovery.WithLeaveTime(time.Second)}, false, time.Second, discovery.HealthLeaving},
		{"without a word", []discovery.RegistrarOption{discovery.WithLeaveTime(0)}, false, 0, discovery.HealthPassing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := memory.New()
				r := newRegistrar(t, registry, order(1), tc.opts...)
				synctest.Wait()
				start := time.Now()
				done := make(chan time.Duration, 1)
				go func() { deregister(t, r); done <- time.Since(start) }()
				if tc.took > 0 {
					time.Sleep(tc.took / 2)
					if got := registry.Instances(orders); len(got) != 1 || got[0].Health != tc.seen {
						t.Errorf("meanwhile registered: %v", got)
					}
				}
				if took := <-done; took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				if got := registry.Instances(orders); len(got) != 0 {
					t.Errorf("still registered: %v", got)
				}
			})
		})
	}
	if _, err := discovery.NewRegistrar(memory.New(), prod, order(1), discovery.WithLeaveTime(-1)); err == nil {
		t.Error("a negative leave time was taken")
	}
}
