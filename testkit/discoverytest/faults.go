// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

const (
	faultInstances = 3
	faultWatchers  = 2
)

// playFault puts registrars and watchers on top of the back end, plays a fault, and
// holds them to what callers were promised.
func playFault(s *session, f faultRow) {
	instances := s.instances(0, faultInstances)
	registrars := s.registrars(instances)
	subs := s.subscriptions()
	s.eventually("before the fault: what there is, as live", s.h.Settle, func() bool { return allSee(subs, instances, true) })

	raw := s.follow(f, instances)
	end := s.h.Faults[f.fault](s)
	s.nobodyMisses("while it lasts", subs, instances, 3*s.h.TTL)
	raw.expectLosses()
	end()
	recovery := s.h.Settle + s.h.TTL + s.confirmTime()
	s.misses("after it", subs, instances, recovery, func() bool {
		return allVisible(registrars) && allSee(subs, instances, true)
	})
	raw.stop()
	s.finds("after the fault, each instance once", s.q, instances...)

	// Watches are alive, and not only still there.
	all := s.instances(0, faultInstances+1)
	if s.h.Registry == nil {
		s.place(s.q, all...)
	} else {
		registrars = append(registrars, s.registrars(all[faultInstances:])...)
	}
	s.eventually("a new instance, after the fault", s.h.Settle, func() bool { return allSee(subs, all, false) })
	for _, r := range registrars {
		s.do("Deregister", r.Deregister)
	}
	if s.h.Registry == nil {
		s.place(s.q)
	}
	s.finds("no ghost, after all have deregistered", s.q)
}

// confirmTime is how long watchers doubt a loss.
func (s *session) confirmTime() time.Duration { return 3*s.h.TTL + s.h.Settle }

// registrars registers instances, and waits until callers can find them.
func (s *session) registrars(instances []discovery.Instance) []*discovery.Registrar {
	s.Helper()
	if s.h.Registry == nil {
		s.place(s.q, instances...)
		return nil
	}
	var out []*discovery.Registrar
	for _, in := range instances {
		r, err := discovery.NewRegistrar(s.h.Registry, s.q.Namespace, in, discovery.WithTTL(s.h.TTL),
			discovery.WithBackoff(20*time.Millisecond, s.h.TTL/3), discovery.WithRegistrationBreaker(5, s.h.TTL/3), discovery.WithVerification(2*s.h.TTL))
		if err != nil {
			s.Fatalf("NewRegistrar: %v", err)
		}
		s.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), s.h.Settle)
			defer cancel()
			_ = r.Deregister(ctx)
		})
		out = append(out, r)
	}
	for _, r := range out {
		s.do("registering", r.Ready)
	}
	return out
}

// subscriptions returns one subscription of each of some watchers.
func (s *session) subscriptions() []*discovery.Subscription {
	s.Helper()
	var out []*discovery.Subscription
	for range faultWatchers {
		w, err := discovery.NewWatcher(s.h.Catalog, s.q.Namespace, discovery.WithCallTimeout(s.h.Settle/2),
			discovery.WithBackoff(20*time.Millisecond, s.h.TTL/3), discovery.WithConfirmTime(s.confirmTime()))
		if err != nil {
			s.Fatalf("NewWatcher: %v", err)
		}
		s.Cleanup(func() { _ = w.Close() })
		sub, err := w.Subscribe(s.q, nil)
		if err != nil {
			s.Fatalf("Subscribe: %v", err)
		}
		out = append(out, sub)
	}
	return out
}

// allSee reports whether all see exactly these instances, and if that is wanted, from a
// registry that says so without reservation.
func allSee(subs []*discovery.Subscription, instances []discovery.Instance, live bool) bool {
	want := addresses(instances)
	for _, sub := range subs {
		snap := sub.Snapshot()
		if !slices.Equal(shown(snap), want) || live && (snap.Origin != discovery.OriginLive && snap.Origin != discovery.OriginFallback || snap.Hold != discovery.HoldNone || snap.Err != nil) {
			return false
		}
	}
	return true
}

func shown(snap *discovery.Snapshot) []string {
	var out []string
	for in := range snap.Instances.All() {
		out = append(out, in.Address)
	}
	slices.Sort(out)
	return out
}

func allVisible(registrars []*discovery.Registrar) bool {
	return !slices.ContainsFunc(registrars, func(r *discovery.Registrar) bool { return r.Status().State != discovery.StateVisible })
}

// eventually looks until a condition holds.
func (s *session) eventually(what string, limit time.Duration, condition func() bool) {
	s.Helper()
	for until := time.Now().Add(limit); !condition(); time.Sleep(look) {
		if time.Now().After(until) {
			s.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// look is how often somebody looks.
const look = 20 * time.Millisecond

// nobodyMisses looks for a while.
func (s *session) nobodyMisses(when string, subs []*discovery.Subscription, instances []discovery.Instance, d time.Duration) {
	s.Helper()
	until := time.Now().Add(d)
	s.misses(when, subs, instances, d+time.Hour, func() bool { return time.Now().After(until) })
}

// misses looks whether somebody misses an instance, until all is well.
func (s *session) misses(when string, subs []*discovery.Subscription, instances []discovery.Instance, limit time.Duration, well func() bool) {
	s.Helper()
	want := addresses(instances)
	for until := time.Now().Add(limit); !well(); time.Sleep(look) {
		for _, sub := range subs {
			got := shown(sub.Snapshot())
			if i := slices.IndexFunc(want, func(a string) bool { return !slices.Contains(got, a) }); i >= 0 {
				s.Fatalf("%s, a caller misses %s: %+v", when, want[i], *sub.Snapshot())
			}
		}
		if time.Now().After(until) {
			for _, sub := range subs {
				s.Logf("a caller sees %v: %+v", shown(sub.Snapshot()), *sub.Snapshot())
			}
			s.Fatalf("%s, not everything is as before within %v", when, limit)
		}
	}
}

// follower is a watch without the core, during a fault.
type follower struct {
	s      *session
	fault  faultRow
	cancel context.CancelFunc
	began  chan struct{} // closed with the first answer
	done   chan struct{}

	mu      sync.Mutex
	lossyOK bool
}

// follow watches from the first answer on until it is stopped. A watch that the registry told of no loss must not
// report one.
func (s *session) follow(f faultRow, instances []discovery.Instance) *follower {
	s.Helper()
	source, err := s.h.Catalog.Watch(s.ctx, s.q)
	if err != nil {
		s.Fatalf("Watch: %v", err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	w := &follower{s: s, fault: f, cancel: cancel, began: make(chan struct{}), done: make(chan struct{}), lossyOK: f.answers}
	s.Cleanup(w.stop)
	go w.run(ctx, source, instances)
	select {
	case <-w.began:
	case <-time.After(s.h.Settle):
		s.Fatalf("no first answer within %v", s.h.Settle)
	}
	return w
}

func (w *follower) run(ctx context.Context, source discovery.Source, instances []discovery.Instance) {
	defer close(w.done)
	defer func() { _ = source.Close() }()
	seen := map[string]bool{}
	failed, begun := false, false
	for ctx.Err() == nil {
		u, err := source.Next(ctx)
		if err != nil {
			failed = true
			select {
			case <-time.After(look):
			case <-ctx.Done():
			}
			continue
		}
		if failed && !u.Full {
			w.s.Errorf("the first update after an error is not a full one")
		}
		failed = false
		if !begun {
			begun = true
			close(w.began)
		}
		if u.Full {
			clear(seen)
		}
		for _, id := range u.Remove {
			delete(seen, id)
		}
		for _, in := range u.Put {
			seen[in.ID] = in.Health.Callable()
		}
		for i := range instances {
			if id := instances[i].ID; !seen[id] && !w.mayLose() {
				w.s.Errorf("a watch lost %s (full %t) during %s, in which the registry says nothing of the kind", id, u.Full, w.fault.fault)
				return
			}
		}
	}
}

func (w *follower) mayLose() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lossyOK
}

// expectLosses is for the end of the fault: times to live may have ended meanwhile.
func (w *follower) expectLosses() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lossyOK = true
}

func (w *follower) stop() {
	w.cancel()
	<-w.done
}
