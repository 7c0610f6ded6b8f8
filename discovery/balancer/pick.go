// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"time"
)

// Pick is one call's endpoint. It is a small value: keep it where the call is kept.
// The zero Pick is of no endpoint, and ends without effect.
type Pick struct {
	e *Endpoint
	// start is when, 0 if this call is not measured, negative for a time that was
	// measured already.
	start int64
}

// Pick chooses an endpoint for a call, which ends with [Pick.Done]. It avoids those
// endpoints that this call was already sent to, unless there is no other. It reports
// false if there is none at all. It allocates nothing, and takes as long for 1,000
// endpoints as for 10.
func (b *Balancer) Pick(avoid ...*Endpoint) (Pick, bool) {
	s, r := b.snap.Load(), rand.Uint64()
	var start int64
	now := s.seen.Load()
	if r&s.sample == 0 {
		start = b.now()
		if s.sample != 0 && start-now > int64(time.Millisecond) {
			s.seen.Store(start)
		}
		now = start
	}
	if now >= s.next.Load() {
		s = b.refresh()
	}
	e := s.pick(r, now, avoid)
	if e == nil {
		e = b.again(r, avoid)
	}
	if e == nil {
		b.none.Add(1)
		return Pick{}, false
	}
	e.calls.Add(1)
	return Pick{e, start}, true
}

// again picks while nothing changes: since the snapshot was made, all of it may have gone
// out.
func (b *Balancer) again(r uint64, avoid []*Endpoint) *Endpoint {
	b.mu.Lock()
	defer b.unlock()
	now := b.now()
	b.rebuild(now)
	return b.snap.Load().pick(r, now, avoid)
}

// Endpoint returns the endpoint that was chosen.
func (p Pick) Endpoint() *Endpoint { return p.e }

// Measured reports whether the call's latency is measured. With many calls, it is that of
// one in eight. Picks of an endpoint that are not are all the same: see
// [Endpoint.Unmeasured].
func (p Pick) Measured() bool { return p.start != 0 }

// Answered stops the clock: what comes after it, such as the reading of a body, is not
// the endpoint's latency. The call is in flight until [Pick.Done].
func (p *Pick) Answered() {
	if p.start > 0 {
		p.start = min(-1, p.start-p.e.b.now())
	}
}

// Done ends the call, with what it says about the endpoint. It is to be called exactly
// once for each pick.
func (p Pick) Done(r Result) {
	e := p.e
	if e == nil {
		return
	}
	if r == OK {
		e.calls.Add(oneWell - 1)
		if e.streak.Load() != 0 {
			e.streak.Store(0)
		}
		if e.out.Load()&outDown != 0 {
			e.b.reached(e)
		}
		if p.start != 0 {
			now, took := p.took()
			if took < maxLatency {
				e.measured(e.b.snap.Load(), now, took)
			}
		}
		return
	}
	p.ended(r, 0)
}

// Overloaded is [Pick.Done] with [Overload], for an endpoint that said when it may be
// called again. One that does so three times in a row is out of picks until then, but for a
// minute at the most; one that answers other calls stays in.
func (p Pick) Overloaded(retryAfter time.Duration) {
	if p.e != nil {
		p.ended(Overload, min(retryAfter, maxAside))
	}
}

// An endpoint is set aside after this many calls in a row that it refused and said when to
// try again, for as long as it said, but no longer than maxAside. Fewer are those of one that is
// busy and serves all the same.
const (
	refusals = 3
	maxAside = time.Minute
)

// A streak counts failures in its lower bits and refusals in its upper ones.
const (
	oneRefusal  = 1 << 16
	failureMask = oneRefusal - 1
)

func (p Pick) ended(r Result, aside time.Duration) {
	e, b := p.e, p.e.b
	e.calls.Add(^uint64(0))
	switch r {
	case Failed:
		e.failed.Add(1)
		p.penalize()
		if n := int(e.streak.Add(1) & failureMask); b.eject.consecutive > 0 && n > 0 && n%b.eject.consecutive == 0 {
			b.failing(e)
		}
	case Unreachable:
		e.failed.Add(1)
		b.unreachable(e)
	case Overload:
		e.other.Add(1)
		p.penalize()
		if n := e.streak.Add(oneRefusal) / oneRefusal; n >= refusals && aside > 0 {
			b.aside(e, aside)
		}
	default:
		e.other.Add(1)
		p.gaveUp()
	}
}

func (p Pick) penalize() {
	if p.start != 0 {
		now, took := p.took()
		p.e.penalized(p.e.b.snap.Load(), now, took)
	}
}

// gaveUp takes in how long a caller waited in vain: longer than it should have, or it says
// nothing.
func (p Pick) gaveUp() {
	if p.start == 0 {
		return
	}
	now, took := p.took()
	if own, _ := unpack(p.e.latency.Load(), now); own > 0 && took > own && took < maxLatency {
		p.e.measured(p.e.b.snap.Load(), now, took)
	}
}

// took returns the time, and how long a call took that is measured.
func (p Pick) took() (now int64, took float64) {
	now = p.e.b.now()
	if p.start < 0 {
		return now, float64(-p.start)
	}
	return now, float64(now - p.start)
}
