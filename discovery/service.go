// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// service is one service that is watched, on one goroutine.
type service struct {
	watcher *Watcher
	q       Query
	ctx     context.Context //nolint:containedctx // it is a running loop, and this is its end
	cancel  context.CancelFunc
	wake    chan struct{}
	latest  atomic.Pointer[state]

	mu   sync.Mutex
	subs map[*Subscription]struct{}

	failures atomic.Int64
	skipped  atomic.Int64

	// What follows belongs to the goroutine.
	keeper   *keeper
	source   Source
	freshBy  time.Time // when the registry has to have said all there is; zero if it has
	resyncAt time.Time
	savedAt  time.Time
	seen     map[string]struct{} // keys of skipped entries
}

// maxSeen bounds the keys of skipped entries that are remembered.
const maxSeen = 1000

// reopenAfter is the number of failures in a row after which a source is replaced by
// a new one, in case it is itself what fails.
const reopenAfter = 3

// newService returns the watch of a query, which begins with what was known before, if
// that is not nil.
func newService(w *Watcher, q Query, before *Snapshot) *service {
	s := &service{
		watcher: w, q: q, wake: make(chan struct{}, 1), subs: map[*Subscription]struct{}{},
		keeper: newKeeper(w.cfg.keeper), seen: map[string]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var version uint64
	if before != nil {
		origin := OriginLastKnownGood
		if before.Origin == OriginDisk {
			origin = OriginDisk
		}
		s.keeper.restore(time.Now(), before.Instances, before.At, origin)
		version = before.Version
	}
	s.latest.Store(&state{s.keeper.snapshot(q, version), 1, make(chan struct{})})
	return s
}

func (s *service) start() { s.watcher.wg.Go(s.run) }

func (s *service) current() *state { return s.latest.Load() }

func (s *service) add(sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs[sub] = struct{}{}
}

// remove returns how many are left.
func (s *service) remove(sub *Subscription) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subs, sub)
	return len(s.subs)
}

func (s *service) subscriptions() []*Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.subs))
}

func (s *service) closeSubscriptions() {
	for _, sub := range s.subscriptions() {
		sub.Close()
	}
}

func (s *service) status() WatchStatus {
	return WatchStatus{
		Snapshot: s.current().snapshot, Subscribers: len(s.subscriptions()),
		Failures: int(s.failures.Load()), Skipped: int(s.skipped.Load()),
	}
}

// run watches until the last subscriber has gone.
func (s *service) run() {
	defer s.cancel()
	defer s.closeSource()
	s.load()
	for s.ctx.Err() == nil {
		u, err := s.next()
		now := time.Now()
		switch {
		case s.ctx.Err() != nil:
		case err == nil:
			s.answered(now, u)
		case errors.Is(err, errTick):
			s.keeper.settle(now)
			s.publishAndSave(now)
		case errors.Is(err, errResync):
			s.closeSource()
		default:
			s.failed(now, err)
		}
	}
	if k := s.keeper; k.up {
		s.save(Stored{k.shown, time.Now()})
	}
}

// Why a wait for the next update ended without one.
var (
	errTick    = errors.New("discovery: something is due")
	errResync  = errors.New("discovery: time to compare")
	errSilence = errors.New("discovery: no answer")
)

// next returns the next update, or one of the errors above, or another. It opens the
// source if there is none.
func (s *service) next() (Update, error) {
	now := time.Now()
	if s.source == nil {
		s.freshBy = now.Add(s.watcher.cfg.callTimeout)
		ctx, cancel := context.WithDeadline(s.ctx, s.freshBy)
		source, err := s.watcher.catalog.Watch(ctx, s.q)
		cancel()
		if err != nil {
			return Update{}, err
		}
		s.source = source
		if r := s.watcher.cfg.resync; r > 0 {
			s.resyncAt = now.Add(s.watcher.cfg.pace.spread(r))
		}
	}
	until, why := s.freshBy, errSilence
	for _, d := range []struct {
		at  time.Time
		why error
	}{{s.keeper.deadline(), errTick}, {s.resyncAt, errResync}} {
		if first := earliest(until, d.at); !first.Equal(until) {
			until, why = first, d.why
		}
	}
	ctx := s.ctx
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(s.ctx, until, why)
		defer cancel()
	}
	u, err := s.source.Next(ctx)
	if err != nil && s.ctx.Err() == nil && ctx.Err() != nil {
		if errors.Is(why, errSilence) {
			return u, fmt.Errorf("%w about %s within %v", errSilence, s.q, s.watcher.cfg.callTimeout)
		}
		return u, why
	}
	return u, err
}

func (s *service) closeSource() {
	if s.source != nil {
		_ = s.source.Close() // there is nothing to be done about it
		s.source = nil
	}
}

func (s *service) answered(now time.Time, u Update) {
	s.freshBy = time.Time{}
	s.failures.Store(0)
	u, left := s.accept(u)
	s.keeper.answer(now, u, left...)
	s.publishAndSave(now)
}

// publishAndSave is for what the registry stands for.
func (s *service) publishAndSave(now time.Time) {
	if changed := s.publish(); s.keeper.up && (changed || now.Sub(s.savedAt) >= storeAgain) {
		s.savedAt = now
		s.save(Stored{s.keeper.shown, now})
	}
}

// storeAgain is how often what did not change is stored again, with its new time.
const storeAgain = 10 * time.Minute

func (s *service) save(stored Stored) {
	if s.watcher.saver != nil {
		s.watcher.saver.put(s.q, stored)
	}
}

// failed waits for the next attempt. What becomes due meanwhile is done.
func (s *service) failed(now time.Time, err error) {
	failures := int(s.failures.Add(1))
	if failures%reopenAfter == 0 {
		s.closeSource()
	}
	s.freshBy = time.Time{} // set again below
	s.keeper.fail(now, err)
	s.publish()
	wait := s.watcher.cfg.pace.after(failures)
	observe.Tell(s.watcher.cfg.observer.WatchFailed, WatchFailure{s.q, err, failures, wait})
	earliestRetry := now.Add(min(wait, s.watcher.cfg.pace.base))
	retry := now.Add(wait)
	for s.ctx.Err() == nil {
		until := earliest(retry, s.keeper.deadline())
		if sleep(s.ctx, time.Until(until), s.wake) {
			retry = earliestRetry
		}
		now = time.Now()
		s.keeper.settle(now)
		s.publish()
		if !now.Before(retry) {
			break
		}
	}
	s.freshBy = time.Now().Add(s.watcher.cfg.callTimeout)
}

// accept leaves out of an update what callers must not see: instances of another
// environment or service, whatever the back end says, those that fail, and those that
// leave, of which it returns the ids.
func (s *service) accept(u Update) (_ Update, left []string) {
	put := u.Put[:0]
	for i := range u.Put {
		in := &u.Put[i]
		switch {
		case !s.q.Owns(in):
			s.skip(Malformed{in.Key().String(), fmt.Errorf("%w: found in the answer to %s", ErrForeignNamespace, s.q)})
		case !in.Health.Callable():
			u.Remove = append(u.Remove, in.ID)
			if in.Health == HealthLeaving {
				left = append(left, in.ID)
			}
		default:
			put = append(put, *in)
		}
	}
	u.Put = put
	for _, m := range u.Malformed {
		s.skip(m)
	}
	return u, left
}

// skip tells of an entry once.
func (s *service) skip(m Malformed) {
	if _, ok := s.seen[m.Key]; ok || len(s.seen) >= maxSeen {
		return
	}
	s.seen[m.Key] = struct{}{}
	s.skipped.Add(1)
	observe.Tell(s.watcher.cfg.observer.Skipped, Skipped{s.q, m})
}

// load begins with what is stored, unless more is known.
func (s *service) load() {
	store := s.watcher.cfg.store
	if store == nil || s.keeper.known {
		return
	}
	stored, err := store.Load(s.q)
	switch {
	case errors.Is(err, ErrNotStored):
	case err != nil:
		if f := s.watcher.cfg.observer.StoreFailed; f != nil {
			f(s.q, err)
		}
	default:
		s.keeper.restore(time.Now(), stored.Instances, stored.At, OriginDisk)
		s.publish()
	}
}

// publish tells subscribers what is known, if that is news, and reports whether the
// instances are.
func (s *service) publish() bool {
	before := s.current()
	snap := s.keeper.snapshot(s.q, before.snapshot.Version)
	changed := snap.Instances != before.snapshot.Instances
	// The first that is heard of a service is a change, if only to nothing.
	changed = changed || snap.Version == 0 && snap.Origin != OriginNone
	if changed {
		snap.Version++
	}
	firstFailure := before.initial() && !errors.Is(snap.Err, ErrNotAnswered)
	if !changed && !firstFailure && !isNews(snap, before.snapshot) {
		return false
	}
	st := &state{snap, before.number + 1, make(chan struct{})}
	s.latest.Store(st)
	close(before.replaced)
	for _, sub := range s.subscriptions() {
		sub.deliver(st)
	}
	s.tellDelivery(snap, before, changed)
	return changed
}

// isNews reports whether two snapshots of the same instances differ in what callers
// have to know.
func isNews(a, b *Snapshot) bool {
	return a.Origin != b.Origin || a.Hold != b.Hold || a.Held != b.Held || (a.Err == nil) != (b.Err == nil) ||
		errors.Is(a.Err, ErrStale) != errors.Is(b.Err, ErrStale)
}

func (s *service) tellDelivery(snap *Snapshot, before *state, changed bool) {
	f := s.watcher.cfg.observer.Delivered
	if f == nil {
		return
	}
	d := Delivery{Snapshot: snap, Previous: before.snapshot}
	if before.initial() {
		d.Previous = nil
	}
	if changed {
		diff := snap.Instances.Diff(before.snapshot.Instances)
		d.Added, d.Removed, d.Changed = len(diff.Added), len(diff.Removed), len(diff.Changed)
	}
	f(d)
}
