// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"iter"
	"time"
)

// Stats is what a balancer did so far, and how things are. Counts only grow.
type Stats struct {
	// Endpoints is how many there are. Of these, Usable may be picked; the others are
	// Suspended, Unreachable, Ejected or set Aside, or more than one of that.
	Endpoints, Usable                      int
	Suspended, Unreachable, Ejected, Aside int
	// SlowStart is how many of the usable ones do not have their full weight yet.
	SlowStart int
	// InFlight is how many calls have not ended, on endpoints that were not removed.
	InFlight int
	// Near is the share of calls, 0 to 1, for the zone that is preferred; 1 if none is.
	Near float64
	// Panic: so few endpoints would be left that ejections are ignored.
	Panic bool
	// Latency is the mean of the endpoints' latencies, 0 if none is known.
	Latency time.Duration
	// Picks by kind.
	Picks Picks
	// Ejections by reason, and how many were Spared because too many are ejected.
	EjectedConsecutive, EjectedFailureShare, EjectedDeviation, Spared uint64
	// WentUnreachable and WentAside count how often an endpoint could not be reached,
	// or asked not to be called.
	WentUnreachable, WentAside uint64
}

// Picks counts picks, each as the first of these that it is.
type Picks struct {
	None      uint64 // there was no endpoint
	Panic     uint64 // ejections were ignored
	SlowStart uint64 // of an endpoint in slow start
	Local     uint64 // in the zone that is preferred
	Spilled   uint64 // in another one
	Any       uint64 // no zone is preferred
}

// All returns the counts by their names in labels, such as "slow_start".
func (p Picks) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		_ = yield("none", p.None) && yield("panic", p.Panic) && yield("slow_start", p.SlowStart) &&
			yield("local", p.Local) && yield("spilled", p.Spilled) && yield("any", p.Any)
	}
}

// kind is what a pick counts as.
type kind uint8

const (
	kindAny kind = iota
	kindLocal
	kindSpilled
	kindSlowStart
	kindPanic

	numKinds
)

func kindOf(s *snapshot, local, ramping, zoned bool) kind {
	switch {
	case s.panicked:
		return kindPanic
	case ramping:
		return kindSlowStart
	case !zoned:
		return kindAny
	case local:
		return kindLocal
	default:
		return kindSpilled
	}
}

// counts are what events add up to, under the lock.
type counts struct {
	picks                      [numKinds]uint64
	ejections                  [numReasons]uint64
	spared, unreachable, aside uint64
}

// count counts an endpoint's picks since the last time, as what they were until now.
func (b *Balancer) count(e *Endpoint) {
	n := e.picked()
	b.counts.picks[e.kind] += n - e.counted
	e.counted = n
}

// Stats returns what the balancer did so far. It takes microseconds for 1,000 endpoints.
func (b *Balancer) Stats() Stats {
	b.mu.Lock()
	defer b.unlock()
	now := b.now()
	b.rebuild(now)
	s, c := b.snap.Load(), b.counts
	out := Stats{
		Endpoints: len(b.ordered), Near: float64(s.nearBelow) / always, Panic: s.panicked, Latency: time.Duration(s.latency),
		Picks: Picks{
			None: b.none.Load(), Panic: c.picks[kindPanic], SlowStart: c.picks[kindSlowStart],
			Local: c.picks[kindLocal], Spilled: c.picks[kindSpilled], Any: c.picks[kindAny],
		},
		EjectedConsecutive: c.ejections[ReasonConsecutive], EjectedFailureShare: c.ejections[ReasonFailureShare],
		EjectedDeviation: c.ejections[ReasonDeviation], Spared: c.spared,
		WentUnreachable: c.unreachable, WentAside: c.aside,
	}
	for _, e := range b.ordered {
		out.add(e, s, now)
	}
	return out
}

func (s *Stats) add(e *Endpoint, snap *snapshot, now int64) {
	is := func(bit uint32) int { return min(1, int(e.out.Load()&bit)) }
	s.Suspended += is(outSuspended)
	s.Unreachable += is(outDown)
	s.Ejected += is(outEjected)
	s.Aside += is(outAside)
	s.InFlight += e.InFlight()
	if e.out.Load()&snap.excluded == 0 {
		s.Usable++
		if e.ramped(now) < 1 {
			s.SlowStart++
		}
	}
}
