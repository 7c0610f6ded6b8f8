// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

func TestSlowStart(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBalancer(t, instances(4, nil), balancer.WithPolicy(p), balancer.WithSlowStart(20*time.Second, 0.1))
				for e := range b.All() {
					if e.Weight() != 1 {
						t.Fatalf("%s of the first update has weight %v, want 1: it is we who are new", e.Instance().ID, e.Weight())
					}
				}
				b.Update(instances(5, func(i int, in *discovery.Instance) { in.Weight = 2 }))
				e := endpoint(t, b, id(4))
				for _, step := range []struct {
					after time.Duration
					want  float64
				}{{0, 0.2}, {2 * time.Second, 0.2}, {3 * time.Second, 0.5}, {5 * time.Second, 1}, {5 * time.Second, 1.5}, {5*time.Second - 1, 2 - 1e-10}, {1, 2}, {time.Hour, 2}} {
					time.Sleep(step.after)
					if got := e.Weight(); math.Abs(got-step.want) > 1e-9 {
						t.Fatalf("weight %v, want %v", got, step.want)
					}
					const n = 20_000
					q := step.want / (8 + step.want)
					got, want, bound := share(t, b, n)[id(4)], n*q, 5*math.Sqrt(n*q*(1-q))
					if math.Abs(float64(got)-want) > bound {
						t.Errorf("with weight %v it was picked %d times, want %.0f ± %.0f", step.want, got, want, bound)
					}
				}
			})
		})
	}
}

// TestSlowStartOfAll: if all are new, they share the calls as ever.
func TestSlowStartOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBalancer(t, instances(1, nil))
		b.Update(discovery.NewSet())
		if _, ok := b.Pick(); ok {
			t.Fatal("there is an endpoint")
		}
		b.Update(instances(4, nil))
		if s := b.Stats(); s.SlowStart != 4 || s.Picks.None != 1 {
			t.Errorf("%+v, want 4 in slow start and 1 pick of none", s)
		}
		for i, n := range share(t, b, 40_000) {
			if n < 9500 || n > 10500 {
				t.Errorf("%s was picked %d times, want about 10,000", i, n)
			}
		}
	})
}

// TestSuspended: an endpoint that is suspended is not picked; it starts slowly if it was
// lost, and not if its connection was only made anew.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := balancer.New(balancer.WithSlowStart(10*time.Second, 0.1))
		if err != nil {
			t.Fatal(err)
		}
		var all []*balancer.Endpoint
		b.Edit(func(e *balancer.Edit) {
			for i := range 3 {
				in := instance(i)
				all = append(all, e.Add(&in, i, true))
			}
		})
		if _, ok := b.Pick(); ok {
			t.Fatal("there is an endpoint, and all are suspended")
		}
		for i, e := range all {
			e.Resume()
			if e.Value() != i || e.Weight() != 1 {
				t.Errorf("value %v and weight %v, want %d and 1", e.Value(), e.Weight(), i)
			}
		}
		all[0].Suspend()
		if got := share(t, b, 1000); got[id(0)] != 0 {
			t.Errorf("a suspended endpoint was picked %d times", got[id(0)])
		}
		all[0].Resume()
		if got := all[0].Weight(); got != 1 {
			t.Errorf("weight %v, want 1: it was never lost", got)
		}
		all[0].Suspend()
		all[0].Lost()
		all[0].Resume()
		if got := all[0].Weight(); got != 0.1 {
			t.Errorf("weight %v, want 0.1: it was lost", got)
		}
		time.Sleep(5 * time.Second)
		if got := all[0].Weight(); math.Abs(got-0.5) > 1e-9 {
			t.Errorf("weight %v, want 0.5", got)
		}
	})
}

// TestManyTogether: of many endpoints, one that is lost is out at once, and one that is
// back is in a little later, together with others.
func TestManyTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		b := newBalancer(t, instances(n, nil), balancer.WithPolicy(balancer.RoundRobin))
		e := endpoint(t, b, id(7))
		e.Suspend()
		if got := share(t, b, 2*n); got[id(7)] != 0 {
			t.Errorf("it was picked %d times after it was suspended", got[id(7)])
		}
		time.Sleep(n * time.Microsecond)
		pick(t, b)
		e.Resume()
		time.Sleep(n * time.Microsecond)
		if got := share(t, b, 2*n); got[id(7)] != 2 {
			t.Errorf("it was picked %d times of %d after it was back, want 2", got[id(7)], 2*n)
		}
	})
}
