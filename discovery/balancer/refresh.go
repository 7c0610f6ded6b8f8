// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"time"
)

// From this many calls a second and endpoint on, one in eight is measured.
const (
	manyCalls  = 100
	sampleMask = 7
)

// gather finds the endpoints that may be picked.
func (b *Balancer) gather(s, old *snapshot, now int64) {
	var reachable, usable int
	for _, e := range b.ordered {
		b.count(e)
		switch out := e.out.Load(); {
		case out == 0:
			usable++
			reachable++
		case out&(outHard|outDown) == 0:
			reachable++
		}
	}
	s.excluded = outAny
	switch {
	case reachable == 0:
		s.excluded = outHard // better a call that fails than none
	case usable == 0 || float64(usable) < b.panicShare*float64(reachable):
		s.excluded, s.panicked = outHard|outDown, true
	}
	if old != nil {
		s.latency = old.latency
		if old.panicked != s.panicked {
			note(b, b.observer.Panicked, Panic{s.panicked, usable, reachable})
		}
	}
	b.split(s, old, now)
	s.latency = b.together(s, now)
}

// split divides them by zone.
func (b *Balancer) split(s, old *snapshot, now int64) {
	var near, far []*Endpoint
	anew := b.changed || old == nil || old.excluded != s.excluded
	z := zones{own: b.zone}
	for _, e := range b.ordered {
		if e.out.Load()&s.excluded != 0 {
			continue
		}
		share := e.ramped(now)
		if share < 1 {
			s.ramping = true
		} else if e.ramp.Load() != 0 {
			e.ramp.Store(0)
		}
		local := z.add(e.Instance().Zone, float64(e.weight)*share)
		e.kind = kindOf(s, local, share < 1, b.zone != "")
		switch {
		case !anew:
		case local:
			near = append(near, e)
		default:
			far = append(far, e)
		}
	}
	share := z.share(b.overprovision)
	if anew {
		s.near, s.far = newGroup(near, &b.turns[0]), newGroup(far, &b.turns[1])
	} else {
		s.near, s.far = old.near, old.far
	}
	s.nearBelow = uint64(math.Round(share * always))
	if b.zone != "" && math.Abs(share-b.zoneShare) > 0.005 {
		note(b, b.observer.ZoneShared, ZoneShare{b.zone, b.zoneShare, share})
		b.zoneShare = share
	}
}

// together returns the latency of all endpoints: the harmonic mean, which follows those that
// get most of the calls. It is what is expected of one that nothing is known of.
func (b *Balancer) together(s *snapshot, now int64) float64 {
	var sum float64
	n := 0
	for _, e := range b.ordered {
		if e.out.Load() == 0 && e.latency.Load() != 0 {
			sum += 1 / max(e.estimate(s, now), 1)
			n++
		}
	}
	if n == 0 {
		return s.latency
	}
	return float64(n) / sum
}

// rate finds out which part of the calls is to be measured.
func (b *Balancer) rate(s *snapshot, now int64) {
	s.sample = b.sample
	elapsed := now - b.rated
	if elapsed < housekeeping/2 {
		return
	}
	var total uint64
	for _, n := range b.counts.picks {
		total += n
	}
	perSecond := float64(total-b.total) / (float64(elapsed) / float64(time.Second))
	s.sample = 0
	if perSecond > manyCalls*float64(max(len(b.ordered), 1)) {
		s.sample = sampleMask
	}
	b.sample, b.rated, b.total = s.sample, now, total
}

// expire takes back what is over.
func (b *Balancer) expire(now int64) {
	for _, e := range b.ordered {
		out := e.out.Load()
		if out&^outSuspended == 0 {
			continue
		}
		if out&outEjected != 0 && now >= e.ejectedUntil {
			b.restore(e, now)
		}
		if out&outAside != 0 && now >= e.asideUntil {
			b.back(e, outAside, ReasonOverload, now)
		}
		if out&outDown != 0 && now >= e.downUntil {
			b.back(e, outDown, ReasonUnreachable, now)
		}
	}
	for b.ejected > b.mayEject() {
		b.restore(b.firstEjected(), now)
	}
}

// back puts an endpoint back that was out for a reason.
func (b *Balancer) back(e *Endpoint, out uint32, r Reason, now int64) {
	e.out.And(^out)
	e.begin(now)
	b.changed = true
	note(b, b.observer.Returned, Return{e.Instance(), r})
}

// due returns when there is something to do next.
func (b *Balancer) due(now int64) int64 {
	next := now + housekeeping
	if !b.eject.off {
		next = min(next, b.interval)
	}
	for _, e := range b.ordered {
		out := e.out.Load()
		if out&outEjected != 0 {
			next = min(next, e.ejectedUntil)
		}
		if out&outAside != 0 {
			next = min(next, e.asideUntil)
		}
		if out&outDown != 0 {
			next = min(next, e.downUntil)
		}
	}
	return next
}
