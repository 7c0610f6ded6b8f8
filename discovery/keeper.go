// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// keeper decides what callers may see of what the registry says. It has no clock and
// no goroutine: it is told what happened and when, and says when it wants to be asked
// again.
//
// What the registry lists is always shown. What it lists no more is shown on while a
// hold is on, see reason. Nothing is held for ever unless the user says so, and
// nothing is taken away while the registry cannot be asked, until it is stale.
type keeper struct {
	cfg keeperConfig

	live  *Set // what the registry listed last
	shown *Set // what callers see
	// gone is what the registry listed within the confirm time and does not list any
	// more, with the time at which it was found missing.
	gone map[string]missing

	known    bool // something was ever known, if only that there is nothing
	up       bool // the last thing the registry did was to answer
	fallback bool // … and it was the fallback that did
	stale    bool
	err      error
	good     time.Time // when the registry last said what is live
	restored Origin    // of what was known before the registry was first asked

	emptySince   time.Time // since when live is empty, if it is and something is gone
	suspectUntil time.Time // removals before then are those of a registry in recovery
	hold         Hold
}

type missing struct {
	instance *Instance
	at       time.Time
}

type keeperConfig struct {
	emptyHold  time.Duration // 0: trust
	churnShare float64       // 1: off
	churnMin   int
	confirm    time.Duration
	maxStale   time.Duration
}

func newKeeper(cfg keeperConfig) *keeper {
	return &keeper{cfg: cfg, live: &Set{}, shown: &Set{}, gone: map[string]missing{}, err: ErrNotAnswered}
}

// restore begins with what was known at some time before.
func (k *keeper) restore(now time.Time, instances *Set, at time.Time, origin Origin) {
	k.live, k.shown, k.good, k.restored = instances, instances, at, origin
	k.known = true
	k.settle(now)
}

// answer takes what the registry said. Instances that fail are not live, and neither
// are those that left: these said so themselves, and are not missed.
func (k *keeper) answer(now time.Time, u Update, left ...string) {
	recovered := k.known && (!k.up || u.Fallback != k.fallback)
	var live *Set
	var changes []change
	if u.Full {
		live, changes = k.live.replace(u.Put)
	} else {
		live, changes = k.live.update(u.Put, u.Remove)
	}
	k.live = live
	for _, c := range changes {
		if c.to == nil {
			k.gone[c.from.ID] = missing{c.from, now}
		} else {
			delete(k.gone, c.to.ID)
		}
	}
	for _, id := range left {
		delete(k.gone, id)
	}
	switch empty := live.Len() == 0 && len(k.gone) > 0; {
	case empty && k.emptySince.IsZero():
		k.emptySince = now
	case !empty && !k.emptySince.IsZero():
		k.emptySince = time.Time{}
		recovered = true
	}
	if recovered {
		k.suspect(now)
	}
	k.known, k.up, k.fallback, k.stale = true, true, u.Fallback, false
	k.err, k.good = nil, now
	k.settle(now)
}

// suspect gives what is missing the whole confirm time, from now on.
func (k *keeper) suspect(now time.Time) {
	k.suspectUntil = now.Add(k.cfg.confirm)
	for id, m := range k.gone {
		k.gone[id] = missing{m.instance, now}
	}
}

// fail takes that the registry could not be asked. What is shown stays.
func (k *keeper) fail(now time.Time, err error) {
	if k.up {
		k.good, k.restored = now, OriginNone
	}
	k.up, k.err = false, err
	k.settle(now)
}

// settle makes shown what it has to be at a time.
func (k *keeper) settle(now time.Time) {
	if !k.up {
		if k.known && k.cfg.maxStale != never && !k.stale && !now.Before(k.good.Add(k.cfg.maxStale)) {
			k.stale = true
			k.shown = &Set{}
		}
		return
	}
	k.hold = k.reason(now)
	if k.hold != HoldEmpty {
		maps.DeleteFunc(k.gone, func(_ string, m missing) bool { return !now.Before(m.at.Add(k.cfg.confirm)) })
		k.hold = k.reason(now)
	}
	if k.hold == HoldNone {
		if k.live.Len() == 0 {
			clear(k.gone) // the empty answer is accepted
		}
		k.show(k.live)
		return
	}
	held := make([]change, 0, len(k.gone))
	for _, id := range slices.Sorted(maps.Keys(k.gone)) {
		held = append(held, change{to: k.gone[id].instance})
	}
	k.show(k.live.apply(held))
}

// show keeps the set that is shown if the new one is no different, so that callers
// can tell by the pointer.
func (k *keeper) show(s *Set) {
	if s != k.shown && !s.Diff(k.shown).Empty() {
		k.shown = s
	}
}

// reason returns why what is gone is still to be shown.
func (k *keeper) reason(now time.Time) Hold {
	gone := len(k.gone)
	switch all := k.live.Len() + gone; {
	case gone == 0:
		return HoldNone
	case k.live.Len() == 0:
		if k.cfg.emptyHold == never || now.Before(k.emptySince.Add(k.cfg.emptyHold)) {
			return HoldEmpty
		}
		return HoldNone
	case now.Before(k.suspectUntil):
		return HoldRecovery
	case k.cfg.churnShare < 1 && all >= k.cfg.churnMin && float64(gone) > k.cfg.churnShare*float64(all):
		return HoldChurn
	default:
		return HoldNone
	}
}

// deadline returns when settle will make a difference if nothing else happens; the
// zero time if never.
func (k *keeper) deadline() time.Time {
	if !k.up {
		if !k.known || k.stale || k.cfg.maxStale == never {
			return time.Time{}
		}
		return k.good.Add(k.cfg.maxStale)
	}
	switch k.hold {
	case HoldEmpty:
		if k.cfg.emptyHold == never {
			return time.Time{}
		}
		return k.emptySince.Add(k.cfg.emptyHold)
	case HoldRecovery:
		return k.suspectUntil
	case HoldChurn:
		first, _ := k.span()
		return first.Add(k.cfg.confirm)
	default:
		return time.Time{}
	}
}

// span returns when the first and the last of what is gone went.
func (k *keeper) span() (first, last time.Time) {
	for _, m := range k.gone {
		if first.IsZero() || m.at.Before(first) {
			first = m.at
		}
		if m.at.After(last) {
			last = m.at
		}
	}
	return first, last
}

// snapshot returns what callers see, as a version of it.
func (k *keeper) snapshot(q Query, version uint64) *Snapshot {
	s := &Snapshot{Query: q, Version: version, Instances: k.shown, Origin: k.origin(), At: k.good, Err: k.err}
	if k.stale {
		s.Err = staleError(q, k.cfg.maxStale, k.err)
		return s
	}
	if k.hold != HoldNone {
		s.Hold, s.Held = k.hold, len(k.gone)
		if k.up {
			s.Until = k.holdEnd()
		}
	}
	return s
}

// holdEnd returns when the last instance that is held will be let go.
func (k *keeper) holdEnd() time.Time {
	if k.hold != HoldChurn {
		return k.deadline()
	}
	_, last := k.span()
	return last.Add(k.cfg.confirm)
}

func (k *keeper) origin() Origin {
	switch {
	case !k.known || k.stale:
		return OriginNone
	case k.up && k.fallback:
		return OriginFallback
	case k.up:
		return OriginLive
	case k.restored != OriginNone:
		return k.restored
	default:
		return OriginLastKnownGood
	}
}

func staleError(q Query, limit time.Duration, cause error) error {
	if cause == nil || errors.Is(cause, ErrStale) {
		return fmt.Errorf("%w: %s, older than %v", ErrStale, q, limit)
	}
	return fmt.Errorf("%w: %s, older than %v: %w", ErrStale, q, limit, cause)
}
