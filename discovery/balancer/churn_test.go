// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// TestChurn: whatever comes and goes, endpoints that stay are the same with what is known of
// them, and none is picked that is not there.
func TestChurn(t *testing.T) {
	for _, p := range policies {
		t.Run(p.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(p)))
			b := newBalancer(t, discovery.NewSet(), balancer.WithPolicy(p))
			known := map[string]*balancer.Endpoint{}
			var pending []balancer.Pick
			for range 300 {
				var set []discovery.Instance
				for i := range 30 {
					if r.IntN(3) > 0 {
						in := instance(i)
						in.Weight = 1 + r.IntN(3)
						set = append(set, in)
					}
				}
				b.Update(discovery.NewSet(set...))
				there := map[string]*balancer.Endpoint{}
				for e := range b.All() {
					there[e.Instance().ID] = e
				}
				if len(there) != len(set) {
					t.Fatalf("%d endpoints, want %d", len(there), len(set))
				}
				for i := range set {
					e := there[set[i].ID]
					if e == nil || !e.Instance().Equal(&set[i]) {
						t.Fatalf("%s: is %v, want %v", set[i].ID, e, &set[i])
					}
					if old := known[set[i].ID]; old != nil && old != e {
						t.Fatalf("%s stayed and is another endpoint", set[i].ID)
					}
				}
				known = there
				for range 50 {
					p, ok := b.Pick()
					if !ok {
						t.Fatal("there is no endpoint")
					}
					if there[p.Endpoint().Instance().ID] != p.Endpoint() {
						t.Fatalf("%s was picked, and is not there", p.Endpoint().Instance().ID)
					}
					if r.IntN(5) == 0 {
						pending = append(pending, p) // ends when it may be gone
						continue
					}
					p.Done(balancer.OK)
				}
				for len(pending) > 100 {
					pending[0].Done(balancer.Result(r.IntN(5)))
					pending = pending[1:]
				}
			}
			for _, p := range pending {
				p.Done(balancer.OK)
			}
			s := b.Stats()
			if s.InFlight != 0 {
				t.Errorf("%d calls are in flight, and all have ended", s.InFlight)
			}
			var sum uint64
			for _, n := range s.Picks.All() {
				sum += n
			}
			if sum != 300*50 {
				t.Errorf("%d picks were counted, want %d", sum, 300*50)
			}
		})
	}
}

// TestAnotherAddress: an instance that moved is another endpoint, and new.
func TestAnotherAddress(t *testing.T) {
	b := newBalancer(t, instances(2, nil))
	old := endpoint(t, b, id(1))
	b.Update(instances(2, func(i int, in *discovery.Instance) {
		if i == 1 {
			in.Address = "10.9.9.9:80"
		}
	}))
	if e := endpoint(t, b, id(1)); e == old || e.Weight() != balancer.DefaultSlowStartMin || b.Stats().Endpoints != 2 {
		t.Errorf("it is the same, or did not start slowly: weight %v", e.Weight())
	}
}

// TestFailingInstance: one that says that it fails is not called.
func TestFailingInstance(t *testing.T) {
	fails := func(is bool) *discovery.Set {
		return instances(2, func(i int, in *discovery.Instance) {
			if i == 0 && is {
				in.Health = discovery.HealthFailing
			}
		})
	}
	b := newBalancer(t, fails(true))
	for _, want := range []int{1, 2, 1} {
		if got := share(t, b, 100); len(got) != want {
			t.Errorf("%d endpoints are picked, want %d", len(got), want)
		}
		b.Update(fails(want == 2))
	}
}

// TestParallel: everything at once, for the race detector.
func TestParallel(t *testing.T) {
	b := newBalancer(t, instances(20, nil), balancer.WithZone("a"), balancer.WithEjectInterval(time.Millisecond, 5, 3),
		balancer.WithEjectTime(time.Millisecond, time.Millisecond), balancer.WithBackoff(time.Millisecond, time.Millisecond))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(i)))
			for range 5000 {
				p, ok := b.Pick()
				if !ok {
					t.Error("there is no endpoint")
					return
				}
				q, _ := b.Pick(p.Endpoint())
				p.Answered()
				p.Done(balancer.Result(r.IntN(5)))
				q.Overloaded(time.Microsecond)
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			b.Update(instances(2+i%20, func(j int, in *discovery.Instance) { in.Zone, in.Weight = string(rune('a'+j%3)), 1+(i+j)%5 }))
			for e := range b.All() {
				_, _, _ = e.Latency(), e.Weight(), e.Instance()
			}
			b.Stats()
		}
	})
	wg.Wait()
	if s := b.Stats(); s.InFlight != 0 {
		t.Errorf("%d calls are in flight, and all have ended", s.InFlight)
	}
}

// TestAvoid: a call that is tried again goes elsewhere, as long as there is an elsewhere.
func TestAvoid(t *testing.T) {
	for _, p := range policies {
		b := newBalancer(t, instances(3, func(i int, in *discovery.Instance) { in.Zone = string(rune('a' + i)) }),
			balancer.WithPolicy(p), balancer.WithZone("a"))
		for range 1000 {
			var tried []*balancer.Endpoint
			for range 3 {
				p, _ := b.Pick(tried...)
				for _, e := range tried {
					if p.Endpoint() == e {
						t.Fatalf("%s was picked again", e.Instance().ID)
					}
				}
				tried = append(tried, p.Endpoint())
				p.Done(balancer.OK)
			}
			if _, ok := b.Pick(tried...); !ok {
				t.Fatal("there is no endpoint when all were tried")
			}
		}
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBalancer(t, instances(1, nil), balancer.WithDecay(time.Second))
		e := endpoint(t, b, id(0))
		call := func(d time.Duration, then func(balancer.Pick)) {
			p, _ := b.Pick()
			time.Sleep(d)
			then(p)
		}
		ok := func(p balancer.Pick) { p.Done(balancer.OK) }
		is := func(want time.Duration) {
			t.Helper()
			if got := e.Latency(); got < want-want/50 || got > want+want/50 {
				t.Errorf("latency %v, want about %v", got, want)
			}
		}
		is(0)
		call(100*time.Millisecond, ok)
		is(100 * time.Millisecond)
		call(time.Second, ok) // no more than twice at once
		is(200 * time.Millisecond)
		call(time.Second, func(p balancer.Pick) { p.Done(balancer.Ignored) }) // it would have taken longer
		is(400 * time.Millisecond)
		for range 30 { // few enough to be measured
			call(10*time.Millisecond, func(p balancer.Pick) { p.Done(balancer.Ignored) })
		}
		is(400 * time.Millisecond)
		call(10*time.Millisecond, func(p balancer.Pick) { // the rest is the body's
			p.Answered()
			p.Answered()
			time.Sleep(990 * time.Millisecond)
			if e.InFlight() != 1 {
				t.Errorf("%d calls in flight, want 1 until its end", e.InFlight())
			}
			p.Done(balancer.OK)
		})
		is(134 * time.Millisecond) // a third of the way is left, after 1.3s
		call(2*time.Minute, ok)    // not a call that is slow
		is(134 * time.Millisecond)
	})
}

func TestSubset(t *testing.T) {
	const n, size = 200, 20
	of := func(set *discovery.Set, client string) map[string]bool {
		b := newBalancer(t, set, balancer.WithSubset(size, client))
		ids := map[string]bool{}
		for e := range b.All() {
			ids[e.Instance().ID] = true
		}
		return ids
	}
	all := instances(n, nil)
	without := func(gone string) *discovery.Set {
		return discovery.SetOf(func(yield func(*discovery.Instance) bool) {
			for in := range all.All() {
				if in.ID != gone && !yield(in) {
					return
				}
			}
		})
	}
	clients := map[string]int{} // by instance
	for c := range 100 {
		client := fmt.Sprint("client-", c)
		before := of(all, client)
		if len(before) != size {
			t.Fatalf("%d instances, want %d", len(before), size)
		}
		for id := range before {
			clients[id]++
		}
		gone := id(c)
		after := of(without(gone), client)
		lost := 0
		for id := range before {
			if !after[id] {
				lost++
			}
		}
		if want := map[bool]int{true: 1}[before[gone]]; lost != want || len(after) != size {
			t.Fatalf("%s: %d of %d are others without %s, want %d", client, lost, len(after), gone, want)
		}
	}
	for i := range n { // 10 clients each; a binomial's five deviations
		if c := clients[id(i)]; c > 25 {
			t.Errorf("%s has %d of 100 clients, want about 10", id(i), c)
		}
	}
	if len(clients) < n*95/100 {
		t.Errorf("%d of %d have a client", len(clients), n)
	}
	if got := of(instances(3, nil), "client"); len(got) != 3 {
		t.Errorf("%d of 3", len(got))
	}
}
