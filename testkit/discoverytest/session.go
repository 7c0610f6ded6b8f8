// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// session is one rule that is being played.
type session struct {
	TB
	h    *Harness
	ctx  context.Context //nolint:containedctx // of the whole test, for every call in it
	q    discovery.Query
	regs map[string]discovery.Registration // of place
	now  map[discovery.Query][]discovery.Instance
}

func newSession(t TB, h *Harness, r Rule) *session {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	q := discovery.Query{Namespace: h.Namespace, Service: fmt.Sprintf("%s-%08x", r, rand.Uint32())}
	return &session{TB: t, h: h, ctx: ctx, q: q, regs: map[string]discovery.Registration{}, now: map[discovery.Query][]discovery.Instance{}}
}

// call returns a context for one call.
func (s *session) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, s.h.Settle)
}

// do makes one call that has to succeed.
func (s *session) do(what string, f func(context.Context) error) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	if err := f(ctx); err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// instance returns the n-th instance of the rule's service.
func (s *session) instance(n int) discovery.Instance {
	in, err := discovery.Instance{
		Namespace: s.q.Namespace, Service: s.q.Service, Address: fmt.Sprintf("10.%d.%d.%d:8443", n>>16&255, n>>8&255, n&255), Health: discovery.HealthPassing,
	}.Normalized()
	if err != nil {
		s.Fatalf("instance %d: %v", n, err)
	}
	return in
}

func (s *session) instances(from, to int) []discovery.Instance {
	var out []discovery.Instance
	for n := from; n < to; n++ {
		out = append(out, s.instance(n))
	}
	return out
}

func (s *session) registration(in discovery.Instance) discovery.Registration {
	s.Helper()
	r, err := s.h.Registry.Registration(in)
	if err != nil {
		s.Fatalf("Registration(%v): %v", &in, err)
	}
	return r
}

// register registers an instance, and deregisters it at the end.
func (s *session) register(in discovery.Instance, ttl time.Duration, h discovery.Health) discovery.Registration {
	s.Helper()
	r := s.registration(in)
	s.put(r, ttl, h)
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.h.Settle)
		defer cancel()
		_ = r.Deregister(ctx) // it may be gone
	})
	return r
}

func (s *session) put(r discovery.Registration, ttl time.Duration, h discovery.Health) time.Duration {
	s.Helper()
	var granted time.Duration
	s.do("Register", func(ctx context.Context) (err error) { granted, err = r.Register(ctx, ttl, h); return err })
	if granted <= 0 {
		s.Fatalf("Register granted a time to live of %v", granted)
	}
	return granted
}

// longTTL is for entries that are not to expire while a rule is played.
const longTTL = 10 * time.Minute

// place makes instances all that there is of their query.
func (s *session) place(q discovery.Query, instances ...discovery.Instance) {
	s.Helper()
	if s.h.Registry == nil {
		if err := s.h.Seed(q, instances); err != nil {
			s.Fatalf("Seed: %v", err)
		}
		return
	}
	keys := map[string]bool{}
	for _, in := range instances {
		key := in.Key().String()
		keys[key] = true
		if !slices.ContainsFunc(s.now[q], func(o discovery.Instance) bool { return o.Equal(&in) }) {
			s.regs[key] = s.register(in, longTTL, discovery.HealthPassing)
		}
	}
	for _, in := range s.now[q] {
		if key := in.Key().String(); !keys[key] {
			s.do("Deregister", s.regs[key].Deregister)
		}
	}
	s.now[q] = instances
}

// watch is a source, and what it said so far.
type watch struct {
	s       *session
	q       discovery.Query
	source  discovery.Source
	seen    map[string]discovery.Instance
	fresh   bool // the next update has to be a full one
	skipped []discovery.Malformed
}

func (s *session) watch(q discovery.Query) *watch {
	s.Helper()
	var source discovery.Source
	s.do("Watch", func(ctx context.Context) (err error) { source, err = s.h.Catalog.Watch(ctx, q); return err })
	s.Cleanup(func() { _ = source.Close() })
	return &watch{s: s, q: q, source: source, seen: map[string]discovery.Instance{}, fresh: true}
}

// next takes the next update, and holds it to the contract. It returns the errors that
// are allowed: the context's and the registry's.
func (w *watch) next(ctx context.Context) error {
	w.s.Helper()
	u, err := w.source.Next(ctx)
	if err != nil {
		w.fresh = w.fresh || ctx.Err() == nil
		return err
	}
	if w.fresh && !u.Full {
		w.s.Fatalf("the first update of a watch of %s, or the first one after an error, is not a full one", w.q)
	}
	before := w.seen
	w.fresh, w.skipped = false, append(w.skipped, u.Malformed...)
	w.seen = maps.Clone(before)
	if u.Full {
		w.seen = map[string]discovery.Instance{}
	}
	for _, id := range u.Remove {
		delete(w.seen, id)
	}
	put := map[string]bool{}
	for _, in := range u.Put {
		w.check(in, put)
		put[in.ID] = true
		w.seen[in.ID] = in
	}
	if !u.Full && len(u.Malformed) == 0 && maps.EqualFunc(before, w.seen, func(a, b discovery.Instance) bool { return a.Equal(&b) }) {
		w.s.Errorf("an update of %s without a change: put %v, remove %v", w.q, u.Put, u.Remove)
	}
	return nil
}

func (w *watch) check(in discovery.Instance, put map[string]bool) {
	w.s.Helper()
	normal, err := in.Normalized()
	switch {
	case err != nil:
		w.s.Errorf("a watch of %s returned an instance that is not valid: %v", w.q, err)
	case !normal.Equal(&in):
		w.s.Errorf("a watch of %s returned an instance that is not normalized: %+v", w.q, in)
	case !w.q.Owns(&in):
		w.s.Errorf("a watch of %s returned an instance of %s", w.q, in.Key())
	case put[in.ID]:
		w.s.Errorf("a watch of %s returned %s twice", w.q, in.ID)
	}
}

// passing returns the addresses of the instances that callers would call, sorted.
func (w *watch) passing() []string {
	var out []string
	for _, in := range w.seen {
		if in.Health.Callable() {
			out = append(out, in.Address)
		}
	}
	slices.Sort(out)
	return out
}

// until takes updates until a condition holds. It fails after the settle time.
func (w *watch) until(what string, condition func() bool) {
	w.s.Helper()
	ctx, cancel := w.s.call()
	defer cancel()
	for w.fresh || !condition() {
		if err := w.next(ctx); err != nil {
			w.s.Fatalf("%s: not seen within %v (%v): a watch of %s sees %s", what, w.s.h.Settle, err, w.q, list(w.passing()))
		}
	}
}

// sees takes updates until exactly these instances are seen as passing.
func (w *watch) sees(what string, instances ...discovery.Instance) {
	w.s.Helper()
	want := addresses(instances)
	w.until(what, func() bool { return slices.Equal(w.passing(), want) })
}

// quiet wants no update for a while.
func (w *watch) quiet(what string, d time.Duration) {
	w.s.Helper()
	ctx, cancel := context.WithTimeout(w.s.ctx, d)
	defer cancel()
	if err := w.next(ctx); err == nil {
		w.s.Errorf("%s: an update, and there was no change", what)
	} else if ctx.Err() == nil {
		w.s.Errorf("%s: %v", what, err)
	}
}

// finds opens a watch of its own and wants its first answer to be these instances, at
// the latest after the settle time.
func (s *session) finds(what string, q discovery.Query, instances ...discovery.Instance) {
	s.Helper()
	w := s.watch(q)
	defer func() { _ = w.source.Close() }()
	w.sees(what, instances...)
}

func addresses(instances []discovery.Instance) []string {
	var out []string
	for _, in := range instances {
		out = append(out, in.Address)
	}
	slices.Sort(out)
	return out
}

// list shortens a long list for a message.
func list(items []string) string {
	if len(items) == 0 {
		return "nothing"
	}
	if len(items) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:5], " "), len(items)-5)
	}
	return strings.Join(items, " ")
}
