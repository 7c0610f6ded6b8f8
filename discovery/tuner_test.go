// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

func TestGrantedTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := &spy{Registry: memory.New(), grant: 6 * time.Second}, &log{}
		r := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, r)
		time.Sleep(time.Minute + time.Nanosecond)
		synctest.Wait()
		if st := r.Status(); st.TTL != 6*time.Second || st.Heartbeats != 30 || len(registry.taken()) != 1 {
			t.Errorf("status %+v", st)
		}
		if len(l.ttls) != 1 || l.ttls[0].From != 15*time.Second || l.ttls[0].To != 6*time.Second {
			t.Errorf("told %+v", l.ttls)
		}
	})
}

func TestTTLTuning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := &spy{Registry: memory.New()}, &log{}
		var mu sync.Mutex
		p := 0.0
		set := func(f float64) { mu.Lock(); defer mu.Unlock(); p = f }
		r := newRegistrar(t, registry, order(1), l.observer(), discovery.WithTTL(15*time.Second),
			discovery.WithTTLTuning(59600*time.Millisecond, func() float64 { mu.Lock(); defer mu.Unlock(); return p }))
		defer deregister(t, r)
		is := func(want time.Duration) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			if got := r.Status().TTL; got != want {
				t.Errorf("TTL %v, want %v", got, want)
			}
		}
		is(15 * time.Second)
		set(0.05) // 17 s is not worth it
		is(15 * time.Second)
		set(0.5)
		is(37 * time.Second)
		set(100)
		is(59600 * time.Millisecond)
		set(-3)
		is(15 * time.Second)
		// What goes up and down all the time does not make a registration each time.
		registry.taken()
		for n := range 86 {
			set(float64(n % 2))
			time.Sleep(7 * time.Second)
		}
		if n := len(registry.taken()); n > 10 {
			t.Errorf("%d registrations in ten minutes", n)
		}
		set(0)
		is(15 * time.Second)
		// A registry that takes three of five seconds to answer is under pressure, too.
		registry.set(func() { registry.beatTime = 3 * time.Second })
		time.Sleep(10 * time.Minute)
		if got := r.Status().TTL; got <= 15*time.Second || got > time.Minute {
			t.Errorf("TTL %v", got)
		}
		if n := len(registry.taken()); n > 18 {
			t.Errorf("%d registrations", n)
		}
		if r.Status().State != discovery.StateVisible {
			t.Errorf("status %+v", r.Status())
		}
	})
}

func TestMemoryPressure(t *testing.T) {
	if p := discovery.MemoryPressure(); p < 0 || p > 1 {
		t.Errorf("pressure %v", p)
	}
}
