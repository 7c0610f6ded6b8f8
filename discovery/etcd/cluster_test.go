// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// fleet is registered instances and watchers of them, with the core.
type fleet struct {
	t          *testing.T
	registrars []*discovery.Registrar
	subs       []*discovery.Subscription
	addresses  []string
}

// newFleet registers n instances, of a back end each, and watches them with as many.
func newFleet(t *testing.T, ttl time.Duration, n int, opts ...etcd.Option) *fleet {
	t.Helper()
	f := &fleet{t: t}
	for i := range n {
		b := realBackend(t, opts...)
		w, err := discovery.NewWatcher(b, order.Namespace, discovery.WithConfirmTime(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		sub, err := w.Subscribe(order, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.subs = append(f.subs, sub)
		f.register(b, i+1, ttl)
	}
	f.eventually("all see all, live", within, f.well)
	return f
}

func (f *fleet) register(b *etcd.Backend, n int, ttl time.Duration) {
	f.t.Helper()
	r, err := discovery.NewRegistrar(b, order.Namespace, instance(n), discovery.WithTTL(ttl))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = r.Deregister(call(f.t)) })
	f.registrars = append(f.registrars, r)
	f.addresses = append(f.addresses, instance(n).Address)
}

// well reports whether everybody is registered, and everybody sees that.
func (f *fleet) well() bool {
	for _, r := range f.registrars {
		if r.Status().State != discovery.StateVisible {
			return false
		}
	}
	for _, s := range f.subs {
		if snap := s.Snapshot(); snap.Origin != discovery.OriginLive || snap.Hold != discovery.HoldNone || snap.Instances.Len() != len(f.addresses) || f.missed(snap) != "" {
			return false
		}
	}
	return true
}

// beats returns how many heartbeats each has sent.
func (f *fleet) beats() []uint64 {
	var out []uint64
	for _, r := range f.registrars {
		out = append(out, r.Status().Heartbeats)
	}
	return out
}

// beaten reports whether all have sent more than these.
func (f *fleet) beaten(before []uint64) bool {
	for i, n := range f.beats() {
		if n <= before[i] {
			return false
		}
	}
	return true
}

// missed returns an address that is not in a snapshot.
func (f *fleet) missed(snap *discovery.Snapshot) string {
	var shown []string
	for in := range snap.Instances.All() {
		shown = append(shown, in.Address)
	}
	if i := slices.IndexFunc(f.addresses, func(a string) bool { return !slices.Contains(shown, a) }); i >= 0 {
		return f.addresses[i]
	}
	return ""
}

// eventually waits for a condition.
func (f *fleet) eventually(what string, limit time.Duration, condition func() bool) (took time.Duration) {
	f.t.Helper()
	for start := time.Now(); ; <-time.After(5 * time.Millisecond) {
		took = time.Since(start)
		switch {
		case condition():
			return took
		case took > limit:
			for _, r := range f.registrars {
				f.t.Logf("%+v", r.Status())
			}
			for _, s := range f.subs {
				f.t.Logf("%+v", *s.Snapshot())
			}
			f.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// keepsAll wants nobody to miss an instance until a condition holds.
func (f *fleet) keepsAll(what string, limit time.Duration, condition func() bool) time.Duration {
	f.t.Helper()
	return f.eventually(what, limit, func() bool {
		for _, s := range f.subs {
			if a := f.missed(s.Snapshot()); a != "" {
				f.t.Fatalf("%s: somebody misses %s: %+v", what, a, *s.Snapshot())
			}
		}
		return condition()
	})
}

// after returns a condition that holds after a time.
func after(d time.Duration) func() bool {
	until := time.Now().Add(d)
	return func() bool { return time.Now().After(until) }
}

// entries wants exactly one entry for each of these, with a lease that exists.
func (f *fleet) entries(b *etcd.Backend, wanted ...string) {
	f.t.Helper()
	found, err := b.Entries(call(f.t), order.Namespace)
	if err != nil {
		f.t.Fatal(err)
	}
	var addresses []string
	for _, e := range found {
		if e.Instance == nil || !e.Expires || !e.Ours {
			f.t.Errorf("an entry that should not be: %+v", e)
			continue
		}
		addresses = append(addresses, e.Instance.Address)
	}
	slices.Sort(addresses)
	slices.Sort(wanted)
	if !slices.Equal(addresses, wanted) {
		f.t.Errorf("there are entries for %v, want %v", addresses, wanted)
	}
}

// TestLeaderLoss kills the member that leads while instances are registered and watched.
func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	members := startCluster(t)
	f := newFleet(t, 5*time.Second, 3, etcd.WithEndpoints(endpoints(members)...))
	admin := realBackend(t, etcd.WithEndpoints(endpoints(members)...))
	for range 2 {
		down := leader(t, admin, members)
		down.kill()
		// Watches of the other members go on, and may not notice. Heartbeats have to be
		// renewed by the next leader.
		beats := f.beats()
		took := f.keepsAll("all is well without the leader", 10*time.Second, func() bool { return f.well() && f.beaten(beats) })
		t.Logf("all have sent a heartbeat and see all %v after the leader was killed", took)
		f.keepsAll("times to live go by", 10*time.Second, after(6*time.Second))
		down.start()
		down.ready()
	}
	// Who comes now is found by all.
	f.register(admin, 9, 5*time.Second)
	took := f.eventually("a new one is found", within, f.well)
	t.Logf("a new instance is visible to all after %v", took)
	f.entries(admin, f.addresses...)
	for _, r := range f.registrars {
		if err := r.Deregister(call(t)); err != nil {
			t.Error(err)
		}
	}
	f.entries(admin)
}

// TestLeaderLossConformance plays the suite's rule for it.
func TestLeaderLossConformance(t *testing.T) {
	t.Parallel()
	members := startCluster(t)
	b := realBackend(t, etcd.WithEndpoints(endpoints(members)...))
	h := realHarness(b)
	h.Faults = map[discoverytest.Fault]discoverytest.Play{discoverytest.LeaderLoss: func(discoverytest.TB) func() {
		p := leader(t, b, members)
		p.kill()
		return func() { p.start(); p.ready() }
	}}
	if !discoverytest.Check(t, discoverytest.FaultRule(discoverytest.LeaderLoss), h) {
		t.Error("the fault was not played")
	}
}

// TestMinority leaves one member alone: it must neither list nor confirm anything.
func TestMinority(t *testing.T) {
	t.Parallel()
	members := startCluster(t)
	lone := realBackend(t, etcd.WithEndpoints(members[0].endpoint))
	g := registration(t, lone, instance(1))
	register(t, g, 10*time.Minute)
	src := watch(t, lone, order)
	if u := next(t, src); len(u.Put) != 1 {
		t.Fatalf("before: %+v", u)
	}
	members[1].kill()
	members[2].kill()
	if u, err := src.Next(call(t)); err == nil {
		t.Errorf("a watch of a member that is alone: %+v, and no error", u)
	}
	for what, try := range map[string]func() error{
		"Next":      func() error { _, err := src.Next(call(t)); return err },
		"Heartbeat": func() error { _, err := g.Heartbeat(call(t), discovery.HealthPassing); return err },
		"Lookup":    func() error { _, err := g.Lookup(call(t)); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s of a member that is alone: no error", what)
		}
	}
	c, err := lone.Inspect(call(t))
	if err != nil || c.Leader != "" {
		t.Errorf("Inspect of a member that is alone: %+v, %v", c, err)
	}
	members[1].start()
	members[1].ready()
	if u := next(t, src); !u.Full || len(u.Put) != 1 {
		t.Errorf("with a majority again: %+v", u)
	}
}

// TestOutage kills the only member for longer than any time to live, and brings it back
// with its disk.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"30s": 30 * time.Second, "shorter than the TTL": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ttl = 5 * time.Second
			server := startServer(t)
			f := newFleet(t, ttl, 3, etcd.WithEndpoints(server.endpoint))
			admin := realBackend(t, etcd.WithEndpoints(server.endpoint))
			// One that dies meanwhile: it must not be there for ever.
			crashed := registration(t, admin, instance(77))
			register(t, crashed, ttl)
			f.eventually("the one that will die is seen", within, func() bool { return f.subs[0].Snapshot().Instances.Len() == 4 })

			server.kill()
			f.keepsAll("etcd is away", outage+within, after(outage))
			for _, s := range f.subs {
				if o := s.Snapshot().Origin; o != discovery.OriginLastKnownGood {
					t.Errorf("while etcd is away, callers are told %v", o)
				}
			}
			server.start()
			server.ready()
			took := f.keepsAll("all is as before, without the one that died", 30*time.Second, f.well)
			t.Logf("all well %v after etcd was back", took)
			f.entries(admin, f.addresses...)
			for _, r := range f.registrars {
				if err := r.Deregister(call(t)); err != nil {
					t.Error(err)
				}
			}
			f.entries(admin)
			noLeases(t, admin)
		})
	}
}

func noLeases(t *testing.T, b *etcd.Backend) {
	t.Helper()
	leases, err := b.Client().Leases(call(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.Leases {
		left, err := b.Client().TimeToLive(call(t), l.ID, clientv3.WithAttachedKeys())
		t.Error(fmt.Sprintf("a lease is left: %+v, %v", left, err))
	}
}
