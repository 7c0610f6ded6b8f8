// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// journal is an observer that notes what it is told.
type journal struct{ lines []string }

func (l *journal) add(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *journal) observer() balancer.Observer {
	return balancer.Observer{
		Updated: func(u balancer.Update) { l.add("+%d -%d ~%d =%d", u.Added, u.Removed, u.Changed, u.Endpoints) },
		Ejected: func(e balancer.Ejection) {
			l.add("%s ejected: %v for %v, time %d", e.Instance.ID, e.Reason, e.For, e.Times)
		},
		Spared: func(e balancer.Ejection) { l.add("%s spared: %v", e.Instance.ID, e.Reason) },
		Returned: func(r balancer.Return) {
			l.add("%s returned: %v", r.Instance.ID, r.Reason)
		},
		Unreachable: func(u balancer.Unreached) {
			l.add("%s unreachable for %v, time %d", u.Instance.ID, u.Backoff, u.Failures)
		},
		ZoneShared: func(z balancer.ZoneShare) { l.add("%s: %.2f to %.2f", z.Zone, z.From, z.To) },
		Panicked:   func(p balancer.Panic) { l.add("panic %v: %d of %d", p.On, p.Usable, p.Of) },
	}
}

// told compares what was noted since the last time.
func (l *journal) told(t *testing.T, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, l.lines); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	l.lines = nil
}

func TestEjectAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l journal
		b := newBalancer(t, instances(4, nil), balancer.WithObserver(l.observer()), balancer.WithSlowStart(30*time.Second, 0.1), balancer.WithPolicy(balancer.Random))
		l.told(t, "+4 -0 ~0 =4")
		fail := func(id string, n int) {
			for range n {
				on(t, b, id).Done(balancer.Failed)
			}
		}
		fail(id(0), 4)
		on(t, b, id(0)).Done(balancer.OK) // begins anew
		fail(id(0), 4)
		on(t, b, id(0)).Done(balancer.Overload) // says nothing
		on(t, b, id(0)).Done(balancer.Ignored)
		l.told(t)
		fail(id(0), 1)
		l.told(t, id(0)+" ejected: consecutive for 30s, time 1")
		if got := share(t, b, 1000); got[id(0)] != 0 {
			t.Errorf("an ejected endpoint was picked %d times", got[id(0)])
		}
		fail(id(1), 5)
		l.told(t, id(1)+" spared: consecutive") // one of four is the most

		time.Sleep(30*time.Second - 1)
		share(t, b, 100)
		l.told(t)
		time.Sleep(1)
		share(t, b, 1)
		l.told(t, id(0)+" returned: consecutive")
		if got := endpoint(t, b, id(0)).Weight(); got != 0.1 {
			t.Errorf("weight %v, want 0.1: it starts slowly", got)
		}
		fail(id(0), 5)
		l.told(t, id(0)+" ejected: consecutive for 1m0s, time 2")
		time.Sleep(time.Minute)
		share(t, b, 1)
		l.told(t, id(0)+" returned: consecutive")
		for range 2 { // intervals without
			time.Sleep(10 * time.Second)
			share(t, b, 1)
		}
		fail(id(0), 5)
		l.told(t, id(0)+" ejected: consecutive for 30s, time 1")
		if s := b.Stats(); s.EjectedConsecutive != 3 || s.Spared != 1 || s.Ejected != 1 || s.Usable != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestEjectByRecord(t *testing.T) {
	// failing says how many of a hundred calls to each of six fail.
	for _, c := range []struct {
		name    string
		failing [6]int
		opts    []balancer.Option
		want    []string
	}{
		{"all alike", [6]int{20, 20, 20, 20, 20, 20}, nil, nil},
		{"one is worse", [6]int{0, 0, 40, 0, 0, 0}, nil, []string{id(2) + " ejected: deviation for 30s, time 1"}},
		{"one is worse, and that is allowed", [6]int{0, 0, 40, 0, 0, 0}, []balancer.Option{balancer.WithEjectDeviation(0)}, nil},
		{"one fails", [6]int{0, 90, 0, 0, 0, 0}, []balancer.Option{balancer.WithEjectDeviation(0)}, []string{id(1) + " ejected: failure_share for 30s, time 1"}},
		{"the worst goes", [6]int{0, 90, 0, 95, 0, 0}, nil, []string{id(3) + " ejected: failure_share for 30s, time 1", id(1) + " spared: failure_share"}},
		{"two may", [6]int{0, 90, 0, 95, 0, 0}, []balancer.Option{balancer.WithMaxEjected(0.4)},
			[]string{id(3) + " ejected: failure_share for 30s, time 1", id(1) + " ejected: failure_share for 30s, time 1"}},
		{"too few calls", [6]int{0, 90, 0, 0, 0, 0}, []balancer.Option{balancer.WithEjectInterval(10*time.Second, 102, 5)}, nil},
		{"too few endpoints", [6]int{0, 0, 40, 0, 0, 0}, []balancer.Option{balancer.WithEjectInterval(10*time.Second, 50, 7)}, nil},
		{"off", [6]int{0, 100, 0, 0, 0, 0}, []balancer.Option{balancer.WithoutEjection()}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l journal
				b := newBalancer(t, instances(6, nil), append(c.opts, balancer.WithObserver(l.observer()), balancer.WithEjectAfter(0), balancer.WithPolicy(balancer.RoundRobin))...)
				l.told(t, "+6 -0 ~0 =6")
				calls := map[string]int{}
				for range 600 {
					p, _ := b.Pick()
					for i, failing := range c.failing {
						if id(i) == p.Endpoint().Instance().ID {
							result := balancer.OK
							if calls[id(i)] < failing {
								result = balancer.Failed
							}
							calls[id(i)]++
							p.Done(result)
						}
					}
				}
				time.Sleep(10*time.Second - 1)
				share(t, b, 1)
				l.told(t)
				time.Sleep(1)
				b.Stats()
				l.told(t, c.want...)
			})
		})
	}
}

// TestEjectionIsBounded: whatever fails, and whatever comes and goes, no more than the
// share is ejected at any time, and there is always an endpoint.
func TestEjectionIsBounded(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			most := 0.05 + 0.5*r.Float64()
			bound := func(n int) int {
				if n < 2 {
					return 0
				}
				return max(1, int(most*float64(n)))
			}
			n := 2 + r.IntN(40)
			b := newBalancer(t, instances(n, nil), balancer.WithMaxEjected(most), balancer.WithEjectInterval(time.Second, 5, 3), balancer.WithEjectAfter(3))
			ejected := 0
			for range 3000 {
				switch x := r.IntN(1000); {
				case x < 5:
					n = 1 + r.IntN(40)
					b.Update(instances(n, nil))
				case x < 100:
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				}
				p, ok := b.Pick()
				if !ok {
					t.Fatalf("seed %d: there is no endpoint of %d", seed, n)
				}
				result := balancer.OK
				if r.IntN(3) > 0 {
					result = []balancer.Result{balancer.Failed, balancer.Overload, balancer.Ignored}[r.IntN(3)]
				}
				p.Done(result)
				s := b.Stats()
				if s.Ejected > bound(n) {
					t.Fatalf("seed %d: %d of %d are ejected, want at most %d", seed, s.Ejected, n, bound(n))
				}
				ejected = max(ejected, s.Ejected)
			}
			if ejected == 0 {
				t.Errorf("seed %d: nothing was ejected: this test says nothing", seed)
			}
		})
	}
}

// TestPanic: if most are ejected or set aside, that is ignored.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l journal
		b := newBalancer(t, instances(4, nil), balancer.WithObserver(l.observer()), balancer.WithMaxEjected(1), balancer.WithEjectAfter(1), balancer.WithPolicy(balancer.Random))
		l.told(t, "+4 -0 ~0 =4")
		for i := range 2 {
			on(t, b, id(i)).Done(balancer.Failed)
		}
		share(t, b, 1)
		l.told(t, id(0)+" ejected: consecutive for 30s, time 1", id(1)+" ejected: consecutive for 30s, time 1")
		on(t, b, id(2)).Done(balancer.Failed)
		if got := share(t, b, 400); len(got) != 4 {
			t.Errorf("%d endpoints are picked, want all", len(got))
		}
		l.told(t, id(2)+" ejected: consecutive for 30s, time 1", "panic true: 1 of 4")
		if s := b.Stats(); !s.Panic || s.Picks.Panic != 400 || s.Usable != 4 || s.Ejected != 3 {
			t.Errorf("%+v", s)
		}
		on(t, b, id(3)).Done(balancer.Failed)
		l.told(t, id(3)+" spared: consecutive") // the last one
		time.Sleep(30 * time.Second)
		share(t, b, 1)
		l.told(t, id(0)+" returned: consecutive", id(1)+" returned: consecutive", id(2)+" returned: consecutive", "panic false: 4 of 4")
	})
}

func TestOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBalancer(t, instances(3, nil), balancer.WithSlowStart(0, 1), balancer.WithPolicy(balancer.Random))
		refuse := func(n int, d time.Duration) {
			for range n {
				p := on(t, b, id(0))
				p.Overloaded(d)
			}
		}
		refuse(2, time.Second)
		on(t, b, id(0)).Done(balancer.OK) // it does serve
		refuse(2, time.Second)
		if b.Stats().Aside != 0 {
			t.Error("it was set aside for refusing some calls")
		}
		refuse(1, time.Second)
		if got := share(t, b, 1000); got[id(0)] != 0 || b.Stats().Aside != 1 || b.Stats().WentAside != 1 {
			t.Errorf("it was picked %d times, want none: %+v", got[id(0)], b.Stats())
		}
		time.Sleep(time.Second)
		if got := share(t, b, 1000); got[id(0)] == 0 {
			t.Error("it is not back")
		}
		refuse(1, 24*time.Hour) // still in a row
		time.Sleep(time.Minute)
		if got := share(t, b, 1000); got[id(0)] == 0 {
			t.Error("it is not back after a minute")
		}
	})
}

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l journal
		b := newBalancer(t, instances(2, nil), balancer.WithObserver(l.observer()), balancer.WithBackoff(time.Second, 3*time.Second), balancer.WithSlowStart(0, 1), balancer.WithPolicy(balancer.Random))
		l.told(t, "+2 -0 ~0 =2")
		first, second, late := on(t, b, id(0)), on(t, b, id(0)), on(t, b, id(0))
		first.Done(balancer.Unreachable)
		second.Done(balancer.Unreachable) // the same event
		l.told(t, id(0)+" unreachable for 1s, time 1")
		if got := share(t, b, 1000); got[id(0)] != 0 {
			t.Errorf("it was picked %d times", got[id(0)])
		}
		for i, backoff := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			time.Sleep(backoff - 1)
			share(t, b, 100)
			l.told(t)
			time.Sleep(1)
			p := on(t, b, id(0))
			l.told(t, id(0)+" returned: unreachable")
			p.Done(balancer.Unreachable)
			l.told(t, fmt.Sprintf("%s unreachable for %v, time %d", id(0), min(2*backoff, 3*time.Second), i+2))
		}
		on(t, b, id(1)).Done(balancer.Unreachable)
		l.told(t, id(1)+" unreachable for 1s, time 1")
		tried := on(t, b, id(0)) // better try than not
		on(t, b, id(1)).Done(balancer.OK)
		l.told(t, id(1)+" returned: unreachable")
		if got := share(t, b, 1000); got[id(0)] != 0 {
			t.Errorf("it was picked %d times, and the other one answers", got[id(0)])
		}
		tried.Done(balancer.Unreachable)
		l.told(t)
		late.Done(balancer.OK)
		l.told(t, id(0)+" returned: unreachable")
	})
}

// TestEjectedAndLost: a broken connection fails the calls on it, and that is not held
// against the process that is there next.
func TestEjectedAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l journal
		b := newBalancer(t, instances(10, nil), balancer.WithObserver(l.observer()), balancer.WithPolicy(balancer.Random))
		l.told(t, "+10 -0 ~0 =10")
		var calls []balancer.Pick
		for range 20 {
			calls = append(calls, on(t, b, id(0)))
		}
		for _, p := range calls[:5] {
			p.Done(balancer.Failed)
		}
		l.told(t, id(0)+" ejected: consecutive for 30s, time 1")
		e := endpoint(t, b, id(0))
		e.Lost()
		for _, p := range calls[5:] {
			p.Done(balancer.Failed)
		}
		l.told(t, id(0)+" returned: consecutive")
		if s := b.Stats(); s.Ejected != 0 || s.Suspended != 1 {
			t.Errorf("%+v, want none ejected: it is out as it is", s)
		}
		e.Resume()
		if got := e.Weight(); got != 0.1 {
			t.Errorf("weight %v, want 0.1: it is back, and starts slowly", got)
		}
		on(t, b, id(0)).Done(balancer.Failed) // the first of its own
		l.told(t)
	})
}

// TestKilled: the first connection error takes an endpoint out of picks, for everybody.
func TestKilled(t *testing.T) {
	b := newBalancer(t, instances(10, nil))
	on(t, b, id(3)).Done(balancer.Unreachable)
	got := share(t, b, 10_000)
	if got[id(3)] != 0 {
		t.Errorf("it was picked %d times after it could not be reached", got[id(3)])
	}
	// While its back-off lasts, an update that says nothing new of it changes nothing.
	b.Update(instances(11, func(i int, in *discovery.Instance) { in.Version = "2" }))
	if got := share(t, b, 10_000); got[id(3)] != 0 {
		t.Errorf("it was picked %d times after an update", got[id(3)])
	}
}
