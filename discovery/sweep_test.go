// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// listing is a sweeper that lists what it is told to.
type listing struct {
	entries []discovery.Entry
	err     error
	slow    bool
	fails   error // what Remove says
	removed []string
}

func (l *listing) Entries(ctx context.Context, _ discovery.Namespace) ([]discovery.Entry, error) {
	if l.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return slices.Clone(l.entries), l.err
}

func (l *listing) Remove(_ context.Context, e discovery.Entry) error {
	l.removed = append(l.removed, e.Key)
	return l.fails
}

// entry returns the entry of the n-th order as it should be.
func entry(n int) discovery.Entry {
	in := order(n)
	return discovery.Entry{
		Namespace: prod, Key: in.Key().String(), Service: in.Service, Instance: &in, Ours: true, Expires: true, Revision: uint64(n + 1),
	}
}

// but returns an entry that was changed.
func but(e discovery.Entry, change func(*discovery.Entry)) discovery.Entry {
	in := *e.Instance
	e.Instance = &in
	change(&e)
	return e
}

var (
	immortal  = but(entry(1), func(e *discovery.Entry) { e.Expires = false })
	expired   = but(entry(2), func(e *discovery.Entry) { e.Expired = true })
	malformed = but(entry(3), func(e *discovery.Entry) { e.Instance, e.Err = nil, errors.New("weight 0") })
	foreign   = but(entry(4), func(e *discovery.Entry) { e.Instance, e.Ours, e.Err = nil, false, errors.New("not JSON") })
	strayed   = but(entry(5), func(e *discovery.Entry) { e.Instance.Namespace, e.Expired = "prod2", true })
	twin      = but(entry(6), func(e *discovery.Entry) { e.Instance.Address = order(0).Address })
	elsewhere = but(entry(7), func(e *discovery.Entry) { e.Namespace, e.Expires = "dev", false })
)

func newSweep(t testing.TB, s discovery.Sweeper, opts ...discovery.SweepOption) *discovery.Sweep {
	t.Helper()
	return must[*discovery.Sweep](t)(discovery.NewSweep(s, prod, opts...))
}

// pass makes a pass and returns what it found, "-" before what it removed.
func pass(t testing.TB, s *discovery.Sweep) []string {
	t.Helper()
	report, err := s.Pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range report.Leftovers {
		text := l.String()
		if l.Removed {
			text = "- " + text
		}
		out = append(out, text)
	}
	return out
}

// TestSweepKinds: what should not be there is told, each by what it is.
func TestSweepKinds(t *testing.T) {
	l := &listing{entries: []discovery.Entry{twin, strayed, entry(0), malformed, immortal, foreign, expired, elsewhere, entry(8)}}
	var told []discovery.SweepReport
	s := newSweep(t, l, discovery.WithObserver(discovery.Observer{SweepDone: func(r discovery.SweepReport) { told = append(told, r) }}))
	want := []string{
		"foreign: prod/order/order-00004: not JSON",
		`foreign: prod/order/order-00005: discovery: foreign namespace: found in the entries of "prod"`,
		`foreign: prod/order/order-00007: discovery: foreign namespace: found in the entries of "prod"`,
		"expired: prod/order/order-00002",
		"immortal: prod/order/order-00001",
		"malformed: prod/order/order-00003: weight 0",
		"duplicate: prod/order/order-00000: same address as prod/order/order-00006",
		"duplicate: prod/order/order-00006: same address as prod/order/order-00000",
	}
	if diff := cmp.Diff(want, pass(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(told) != 1 || told[0].Entries != 9 || told[0].Namespace != prod || len(told[0].Leftovers) != 8 {
		t.Errorf("told %+v", told)
	}
	last := s.Last()
	if found, removed := last.Count(discovery.LeftoverForeign); found != 3 || removed != 0 {
		t.Errorf("counted %d foreign, %d removed", found, removed)
	}
}

// TestSweepRemoves: what is ours and stays as it is for the confirm time, once it was
// asked for, and nothing else.
func TestSweepRemoves(t *testing.T) {
	all := []discovery.Entry{twin, strayed, entry(0), malformed, immortal, foreign, expired, elsewhere}
	synctest.Test(t, func(t *testing.T) {
		l := &listing{entries: all}
		s := newSweep(t, l, discovery.WithRemoval(), discovery.WithSweepConfirm(time.Minute))
		for _, step := range []struct {
			after time.Duration
			want  string
		}{{0, "[]"}, {time.Minute - 1, "[]"}, {1, "[prod/order/order-00002 prod/order/order-00001]"}} {
			time.Sleep(step.after)
			pass(t, s)
			if got := fmt.Sprint(l.removed); got != step.want {
				t.Errorf("after %v more: removed %s, want %s", step.after, got, step.want)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := &listing{entries: all}
		s := newSweep(t, l)
		for range 3 {
			pass(t, s)
			time.Sleep(24 * time.Hour)
		}
		if l.removed != nil {
			t.Errorf("removed %v, and nobody asked for it", l.removed)
		}
	})
}

// TestSweepConfirms: the confirm time begins anew when an entry was written, when it
// was gone, and when it is left over for another reason.
func TestSweepConfirms(t *testing.T) {
	for _, tc := range []struct {
		name   string
		middle func(*listing)
	}{
		{"written", func(l *listing) { l.entries[0].Revision++ }},
		{"gone", func(l *listing) { l.entries = nil }},
		{"as it should be", func(l *listing) { l.entries[0].Expires = true }},
		{"of another kind", func(l *listing) { l.entries[0].Expired = true }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &listing{entries: []discovery.Entry{immortal}}
				s := newSweep(t, l, discovery.WithRemoval())
				pass(t, s)
				time.Sleep(9 * time.Minute)
				tc.middle(l)
				pass(t, s)
				if tc.name != "written" {
					l.entries = []discovery.Entry{immortal}
				}
				time.Sleep(9 * time.Minute)
				pass(t, s)
				if l.removed != nil {
					t.Errorf("removed %v too early", l.removed)
				}
				time.Sleep(10 * time.Minute)
				pass(t, s)
				if len(l.removed) != 1 {
					t.Errorf("removed %v in the end", l.removed)
				}
			})
		})
	}
}

// TestSweepFailures: what cannot be looked through is an error and changes nothing;
// what cannot be removed is in the report, and tried again.
func TestSweepFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listing{entries: []discovery.Entry{immortal}, fails: discovery.ErrChanged}
		told := 0
		s := newSweep(t, l, discovery.WithRemoval(), discovery.WithSweepConfirm(time.Second),
			discovery.WithObserver(discovery.Observer{SweepDone: func(discovery.SweepReport) { told++ }}))
		pass(t, s)
		time.Sleep(time.Second)

		l.err = errors.New("away")
		if r, err := s.Pass(t.Context()); !errors.Is(err, l.err) || r.Leftovers != nil || !strings.Contains(err.Error(), `sweep of "prod": away`) {
			t.Errorf("%+v, %v", r, err)
		}
		l.err, l.slow = nil, true
		if _, err := s.Pass(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within 5s") {
			t.Errorf("no answer: %v", err)
		}
		l.slow = false
		r, err := s.Pass(t.Context())
		if err != nil || !errors.Is(r.Leftovers[0].Err, discovery.ErrChanged) || r.Leftovers[0].Removed {
			t.Errorf("%+v, %v", r, err)
		}
		l.fails = nil
		if r, _ := s.Pass(t.Context()); !r.Leftovers[0].Removed {
			t.Errorf("%+v", r)
		}
		if told != 5 {
			t.Errorf("told of %d passes, want 5", told)
		}
	})
}

// TestSweepBound: one pass does not empty a registry, and one that is canceled stops.
func TestSweepBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listing{}
		for i := range 250 {
			l.entries = append(l.entries, but(entry(i), func(e *discovery.Entry) { e.Expired = true }))
		}
		s := newSweep(t, l, discovery.WithRemoval())
		pass(t, s)
		time.Sleep(time.Hour)
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Pass(canceled); err != nil || len(l.removed) != 0 {
			t.Errorf("canceled, and removed %d: %v", len(l.removed), err)
		}
		pass(t, s)
		if len(l.removed) != 100 {
			t.Errorf("removed %d, want 100", len(l.removed))
		}
	})
}

func TestSweepOptions(t *testing.T) {
	_, err := discovery.NewSweep(memory.New(), "Prod", discovery.WithSweepConfirm(0), discovery.WithCallTimeout(-1))
	for _, want := range []string{
		`discovery: namespace "Prod": must be of a-z, 0-9 and -`, "discovery: sweep confirm time 0s: must be at least 1s", "discovery: call timeout -1ns: must be positive",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := discovery.NewSweep(nil, prod); err == nil {
		t.Error("a sweep of nothing")
	}
}

// TestSweepMemory is the whole of it with a registry: what is left over goes, those
// who are alive stay and notice nothing, and other namespaces are not touched.
func TestSweepMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		alive := newRegistrar(t, registry, order(0))
		defer deregister(t, alive)
		dead := must[discovery.Registration](t)(registry.Registration(order(1)))
		must[time.Duration](t)(dead.Register(t.Context(), time.Minute, discovery.HealthPassing))
		ghost, other := order(2), order(3)
		other.Namespace = "prod2"
		for _, in := range []discovery.Instance{ghost, other} {
			if err := registry.Faults().Forever(in); err != nil {
				t.Fatal(err)
			}
		}
		registry.Faults().Put(orders, "rubbish", []byte("{}"))
		registry.Faults().Put(orders, "half", []byte(`{"v":1,"namespace":"prod","service":"order","id":"x","address":"nowhere"}`))
		registry.Faults().Linger(true)
		time.Sleep(2 * time.Minute)

		s := newSweep(t, registry, discovery.WithRemoval())
		p := must[*discovery.Patrol](t)(discovery.NewPatrol(registry, discovery.WithSweep(s, 2), discovery.WithJitter(0), discovery.WithPatrolInterval(time.Minute)))
		synctest.Wait()
		if s.Last().Entries != 0 {
			t.Error("swept in the first round of two")
		}
		time.Sleep(time.Minute + time.Second)
		if r := s.Last(); r.Entries != 5 || len(r.Leftovers) != 4 {
			t.Errorf("first pass: %d entries, %v", r.Entries, r.Leftovers)
		}
		time.Sleep(12 * time.Minute)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{
			"foreign: prod/order/rubbish: discovery: payload version 0: must be 1, the one that this build reads",
		}, pass(t, s)); diff != "" {
			t.Errorf("what is left (-want +got):\n%s", diff)
		}
		if got := registry.Instances(orders); len(got) != 1 || got[0].ID != order(0).ID {
			t.Errorf("instances %v", got)
		}
		if got := registry.Instances(discovery.Query{Namespace: "prod2", Service: "order"}); len(got) != 1 {
			t.Errorf("the other namespace has %v", got)
		}
		if st := alive.Status(); st.State != discovery.StateVisible || st.Registrations != 1 {
			t.Errorf("who is alive: %s, registered %d times", st.State, st.Registrations)
		}
	})
}

// TestSweepProperties: with any registry and any timing, nothing is removed that is not
// ours, is another namespace's, was not found before or was written since, has a time
// to live that runs, or was not asked for.
func TestSweepProperties(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 11))
			l := &propertyListing{t: t, found: map[string]foundAt{}, confirm: time.Duration(1+r.IntN(100)) * time.Second}
			l.removal = r.IntN(4) > 0
			opts := []discovery.SweepOption{discovery.WithSweepConfirm(l.confirm)}
			if l.removal {
				opts = append(opts, discovery.WithRemoval())
			}
			s := newSweep(t, l, opts...)
			for range 12 {
				l.shuffle(r)
				_, err := s.Pass(t.Context())
				if (err != nil) != l.away {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(r.IntN(80)) * time.Second)
			}
		})
	}
}

type foundAt struct {
	e  discovery.Entry
	at time.Time
}

// propertyListing changes at random, and knows what may be removed.
type propertyListing struct {
	t       *testing.T
	entries []discovery.Entry
	found   map[string]foundAt // since when each was listed as it is, without a pass that did not have it
	confirm time.Duration
	removal bool
	away    bool
}

func (l *propertyListing) shuffle(r *rand.Rand) {
	l.away = r.IntN(6) == 0
	for i := range 6 {
		if r.IntN(3) > 0 && len(l.entries) == 6 {
			continue
		}
		e := entry(i)
		e.Ours, e.Expires, e.Expired = r.IntN(3) > 0, r.IntN(2) == 0, r.IntN(2) == 0
		e.Revision = uint64(r.IntN(2))
		switch r.IntN(4) {
		case 0:
			e.Instance, e.Err = nil, errors.New("malformed")
		case 1:
			e.Instance.Namespace = "prod2"
		}
		if r.IntN(5) == 0 {
			e.Namespace = "prod2"
		}
		if len(l.entries) < 6 {
			l.entries = append(l.entries, e)
		} else {
			l.entries[i] = e
		}
	}
}

func (l *propertyListing) Entries(context.Context, discovery.Namespace) ([]discovery.Entry, error) {
	if l.away {
		return nil, errors.New("away")
	}
	found := map[string]foundAt{}
	for _, e := range l.entries {
		before, ok := l.found[e.Key]
		if !ok || before.e.Revision != e.Revision {
			before = foundAt{e, time.Now()}
		}
		found[e.Key] = before
	}
	l.found = found
	return slices.Clone(l.entries), nil
}

func (l *propertyListing) Remove(_ context.Context, e discovery.Entry) error {
	before, ok := l.found[e.Key]
	switch {
	case !l.removal:
		l.t.Errorf("removed %+v, and nobody asked for it", e)
	case !e.Ours:
		l.t.Errorf("removed what is not ours: %+v", e)
	case e.Namespace != prod || e.Instance != nil && e.Instance.Namespace != prod:
		l.t.Errorf("removed another namespace's: %+v", e)
	case e.Expires && !e.Expired:
		l.t.Errorf("removed what ends by itself: %+v", e)
	case !ok || time.Since(before.at) < l.confirm:
		l.t.Errorf("removed %+v, there as it is for %v and not %v", e, time.Since(before.at), l.confirm)
	}
	return nil
}

// TestIsPayload: the mark is on what this build writes, and on what is like it.
func TestIsPayload(t *testing.T) {
	text := must[[]byte](t)(discovery.EncodeInstance(order(1)))
	for _, tc := range []struct {
		text string
		want bool
	}{
		{string(text), true},
		{strings.Replace(string(text), `"weight":1`, `"weight":-1`, 1), true},
		{strings.Replace(string(text), `"v":1`, `"v":2`, 1), false},
		{strings.Replace(string(text), `"address"`, `"Addr"`, 1), false},
		{string(text[:len(text)-1]), false},
		{`{"v":1}`, false}, {`{"Op":0,"Addr":"10.0.0.1:80"}`, false}, {"", false}, {"null", false}, {"1", false},
	} {
		if got := discovery.IsPayload([]byte(tc.text)); got != tc.want {
			t.Errorf("%s: %t", tc.text, got)
		}
	}
}
