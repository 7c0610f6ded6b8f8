// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"time"
)

// A latency is packed into a word, so that it is read and written as a whole: when it
// was last updated, in units of about a millisecond, and nanoseconds as a float32.
// 0 is none.
const stampShift = 20

// maxLatency is the longest that counts. A call that took longer was one that stays
// open, and not a slow one.
const maxLatency = float64(time.Minute)

// slack is added to latencies that are compared: with calls of some microseconds, it is chance
// by how many times one took longer.
const slack = float64(100 * time.Microsecond)

// penalty is how many times as long as other calls a failed one counts for.
const penalty = 10

// patience is how much better the second of two drawn endpoints has to be: within
// that, latencies are the same for all that is known, and the draw decides, which
// follows weights.
const patience = 1.25

func pack(now int64, latency float64) uint64 {
	return uint64(uint32(now>>stampShift))<<32 | uint64(math.Float32bits(float32(latency)))
}

func unpack(w uint64, now int64) (latency float64, age int64) {
	age = int64(uint32(now>>stampShift)-uint32(w>>32)) << stampShift
	return float64(math.Float32frombits(uint32(w))), age
}

// remaining returns what is left of 1 after age: near enough to e^(-age/decay), and
// cheaper.
func remaining(age int64, decay float64) float64 {
	x := float64(age) / decay
	return 1 / (1 + x + x*x/2)
}

// estimate returns the latency to expect by now, in nanoseconds: its own, or that of the
// others if it has none, or if that is long ago.
func (e *Endpoint) estimate(s *snapshot, now int64) float64 {
	w := e.latency.Load()
	if w == 0 {
		return s.latency
	}
	own, age := unpack(w, now)
	if age < s.recent || s.latency == 0 {
		return own
	}
	return s.latency + (own-s.latency)*remaining(age, s.decay)
}

// measured takes in the latency of a call. One that is slower than expected counts at
// once, but for no more than twice what was; a faster one, by the time since the last.
func (e *Endpoint) measured(s *snapshot, now int64, took float64) {
	w := e.latency.Load()
	if w == 0 {
		e.latency.Store(pack(now, max(took, 1)))
		return
	}
	own, age := unpack(w, now)
	if took > own {
		own = min(took, 2*own)
	} else {
		own = took + (own-took)*s.kept(age)
	}
	e.latency.Store(pack(now, max(own, 1)))
}

// penalized takes in a call that failed, as one that took penalty times as long as calls
// do: failing is often faster than working, and must not attract calls. It counts by the
// time since the last call only, so that an endpoint looks the slower the greater the share
// of its calls that fail.
func (e *Endpoint) penalized(s *snapshot, now int64, took float64) {
	own, usual := e.estimate(s, now), s.latency
	if usual == 0 {
		usual = took
	}
	bad := min(max(penalty*(usual+slack), own, took), maxLatency)
	_, age := unpack(e.latency.Load(), now)
	e.latency.Store(pack(now, bad+(own-bad)*s.kept(age)))
}

// kept returns how much of what was known counts besides a new sample. A unit of time is
// the least that passes, for calls that end within the same one.
func (s *snapshot) kept(age int64) float64 {
	return remaining(max(age, 1<<stampShift), s.decay)
}
