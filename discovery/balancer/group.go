// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// draws is how often at the most an endpoint is drawn again.
const draws = 8

// golden is 2^64 divided by the golden ratio. Its multiples, modulo 2^64, fall as evenly as
// any sequence can, whatever the part of it that one looks at.
const golden = 0x9E3779B97F4A7C15

// group are endpoints to choose from, by weight. It is immutable.
type group struct {
	endpoints []*Endpoint
	// until is the sum of the weights up to each endpoint, of 2^64; nil if all are
	// the same.
	until []uint64
	// guide is where to begin to look for a sum, by n-ths of 2^64.
	guide []uint32
	// turn counts picks in turn.
	turn *turn
}

// turn has a cache line for itself.
type turn struct {
	_ [64]byte
	n atomic.Uint64
	_ [56]byte
}

func newGroup(endpoints []*Endpoint, turn *turn) group {
	g := group{endpoints: endpoints, turn: turn}
	var sum uint64
	uniform := true
	for _, e := range endpoints {
		sum += uint64(e.weight)
		uniform = uniform && e.weight == endpoints[0].weight
	}
	mean := float64(sum) / float64(len(endpoints))
	for _, e := range endpoints {
		e.load.Store(math.Float64bits(mean / float64(e.weight)))
	}
	if uniform {
		return g
	}
	n := len(endpoints)
	g.until, g.guide = make([]uint64, n), make([]uint32, n)
	var before uint64
	for i, e := range endpoints[:n-1] {
		before += uint64(e.weight)
		g.until[i], _ = bits.Div64(before, 0, sum)
	}
	g.until[n-1] = math.MaxUint64
	i := 0
	for k := range g.guide {
		from, _ := bits.Div64(uint64(k), 0, uint64(n))
		for i < n-1 && g.until[i] <= from {
			i++
		}
		g.guide[k] = uint32(i)
	}
	return g
}

// at returns the endpoint whose part of 2^64 r is in.
func (g *group) at(r uint64) int {
	k, _ := bits.Mul64(r, uint64(len(g.endpoints)))
	if g.until == nil {
		return int(k)
	}
	i := int(g.guide[k])
	for i < len(g.until)-1 && g.until[i] <= r {
		i++
	}
	return i
}

// choose returns an endpoint by the policy and a random number, or nil if none may be
// picked.
func (g *group) choose(s *snapshot, r uint64, now int64, avoid []*Endpoint) *Endpoint {
	var e *Endpoint
	switch n := len(g.endpoints); {
	case n == 0:
		return nil
	case n == 1:
		e = g.endpoints[0]
	case s.policy == Random:
		e = g.endpoints[g.draw(s, r, now, -1)]
	case s.policy == RoundRobin:
		e = g.endpoints[g.next(s, now)]
	default:
		if e = g.better(s, r, now, avoid); e != nil {
			return e
		}
		return g.any(s, avoid)
	}
	if s.may(e, avoid) {
		return e
	}
	return g.any(s, avoid)
}

// any returns any endpoint that may be picked. What was chosen may not: it went out since
// the snapshot was made, or was called already.
func (g *group) any(s *snapshot, avoid []*Endpoint) *Endpoint {
	n := len(g.endpoints)
	from := rand.IntN(n)
	for i := range n {
		if e := g.endpoints[(from+i)%n]; s.may(e, avoid) {
			return e
		}
	}
	return nil
}

// better draws two and returns the one with the lower cost, of those that may be picked.
func (g *group) better(s *snapshot, r uint64, now int64, avoid []*Endpoint) *Endpoint {
	i, j := g.two(s, r, now)
	a, b := g.endpoints[i], g.endpoints[j]
	switch mayA, mayB := s.may(a, avoid), s.may(b, avoid); {
	case mayA && mayB:
	case mayA:
		return a
	case mayB:
		return b
	default:
		return nil
	}
	if s.policy == LeastRequest {
		if b.busy() < a.busy() {
			return b
		}
		return a
	}
	if b.cost(s, now)*patience < a.cost(s, now) {
		return b
	}
	return a
}

// two returns two different endpoints.
func (g *group) two(s *snapshot, r uint64, now int64) (int, int) {
	if g.until == nil && !s.ramping {
		n := uint64(len(g.endpoints))
		i, j := r>>32*n>>32, r&math.MaxUint32*(n-1)>>32
		if j >= i {
			j++
		}
		return int(i), int(j)
	}
	i := g.draw(s, r, now, -1)
	return i, g.draw(s, rand.Uint64(), now, i)
}

// draw returns the endpoint that a random number falls on by weight, other than one. In
// the place of one in slow start, it draws again as often as what that lacks of its
// weight.
func (g *group) draw(s *snapshot, r uint64, now int64, not int) int {
	i := 0
	for range draws {
		i = g.at(r)
		if i != not && s.accepts(g.endpoints[i], now) {
			return i
		}
		r = rand.Uint64()
	}
	if i == not {
		i = (i + 1) % len(g.endpoints)
	}
	return i
}

// next returns the endpoint whose turn it is.
func (g *group) next(s *snapshot, now int64) int {
	i := 0
	for range draws {
		turn := g.turn.n.Add(1)
		if g.until == nil {
			i = int(turn % uint64(len(g.endpoints)))
		} else {
			i = g.at(turn * golden)
		}
		if s.accepts(g.endpoints[i], now) {
			break
		}
	}
	return i
}

// busy is how many calls are in flight, in relation to the weight.
func (e *Endpoint) busy() float64 {
	return float64(e.calls.Load()&inFlightMask) * e.loadFactor()
}

// cost is how long a call would take, if each one waited for those in flight.
func (e *Endpoint) cost(s *snapshot, now int64) float64 {
	return (e.estimate(s, now) + slack) * (1 + e.busy())
}

// may reports whether an endpoint may be picked.
func (s *snapshot) may(e *Endpoint, avoid []*Endpoint) bool {
	return e.out.Load()&s.excluded == 0 && (len(avoid) == 0 || !slices.Contains(avoid, e))
}

// accepts reports whether an endpoint's slow start lets it have this pick.
func (s *snapshot) accepts(e *Endpoint, now int64) bool {
	if !s.ramping {
		return true
	}
	share := e.ramped(now)
	return share >= 1 || rand.Float64() < share
}
