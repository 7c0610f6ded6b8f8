// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// snapshot is what picks need to know. It is immutable but for what is atomic.
type snapshot struct {
	policy Policy
	// near are picked from first, and far with what near do not get: below
	// nearBelow of 2^32.
	near, far group
	nearBelow uint64
	// excluded are the reasons not to pick an endpoint.
	excluded uint32
	panicked bool
	// ramping: there is an endpoint in slow start.
	ramping bool
	// latency is that of the endpoints together, 0 if there is none; decay and recent
	// are how fast an endpoint's own is forgotten, and when that begins to matter.
	latency, decay float64
	recent         int64
	// sample says which calls are measured: those whose random number has none of its
	// bits, which are low ones, and matter for nothing else.
	sample uint64
	made   int64

	_ [64]byte
	// next is when a new snapshot is to be made; seen is the time, more or less, for
	// calls that are not measured.
	next, seen atomic.Int64
}

const always = 1 << 32

// housekeeping is how often a snapshot is made anew while there are calls.
const housekeeping = int64(250 * time.Millisecond)

func (s *snapshot) pick(r uint64, now int64, avoid []*Endpoint) *Endpoint {
	first, second := &s.near, &s.far
	if s.nearBelow < always && uint64(rand.Uint32()) >= s.nearBelow {
		first, second = second, first
	}
	if e := first.choose(s, r, now, avoid); e != nil {
		return e
	}
	if e := second.choose(s, r, now, avoid); e != nil {
		return e
	}
	if len(avoid) > 0 {
		return s.pick(r, now, nil)
	}
	return nil
}

// rebuild makes a snapshot of how things are.
func (b *Balancer) rebuild(now int64) {
	old := b.snap.Load()
	b.expire(now)
	b.judge(now)
	s := &snapshot{made: now, policy: b.policy, decay: float64(b.decay), recent: int64(b.decay) / 64}
	s.seen.Store(now)
	b.gather(s, old, now)
	b.rate(s, now)
	s.next.Store(b.due(now))
	b.changed = false
	b.snap.Store(s)
}
