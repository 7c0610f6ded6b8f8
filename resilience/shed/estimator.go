// SPDX-License-Identifier: Apache-2.0

package shed

import (
	"math"
	"math/rand/v2"
	"time"
)

const (
	// minGradient and maxGradient bound what one window can do. A probe may find
	// that the limit has to be much lower.
	minGradient, maxGradient = 0.5, 2
	// windowLatencies is how many mean latencies a window lasts at least, and
	// probeLatencies how many in a probe, after latency was about halved.
	windowLatencies, probeLatencies = 4, 2
	// fallen is the share of the last probe's limit below which there is reason to
	// doubt its result, and earlyProbes how many such doubts an interval has room
	// for.
	fallen, earlyProbes = 0.6, 8
	// proportional is how near to proportional a latency has to follow the limit
	// for it to be a queue's.
	proportional = 1.25
	// agreement is how far apart two unloaded latencies are at most that confirm each
	// other.
	agreement = 1.25
	// idleWeight is the weight of a new latency in the unloaded one.
	idleWeight = 0.2
)

// estimator finds the limit. It is guarded by its shedder's lock and is told the
// time. Latencies are in seconds.
type estimator struct {
	cfg   *config
	limit float64
	// base is the latency of a call that does not wait for others; 0 if it is not
	// known yet.
	base float64
	// latency is the mean of the last window.
	latency float64

	// The window. Calls count that begin in its first half; the second is there for
	// them to end, because otherwise long calls would be seen too rarely. all has the
	// calls that end in the window, whenever they began, for the next one's length.
	begin, half, end time.Time
	calls, all       mean
	peak             int // most calls under way at once
	busy             int // windows in a row in which the limit was in use

	// probing is under way: each of its windows is compared with the one before.
	probing bool
	before  step // the last window before the probe
	last    step // the window before this one
	drained time.Time
	// probed is the limit to which the last probe led, zero if there was none, and
	// nextProbe when the next is due. sure says that the last one only confirmed what
	// was known before.
	probed    float64
	probedAt  time.Time
	nextProbe time.Time
	sure      bool
}

// step is a limit and the latency there.
type step struct{ limit, latency float64 }

// mean is a sum of latencies and their number.
type mean struct {
	sum time.Duration
	n   int
}

func (m *mean) add(d time.Duration) { m.sum += d; m.n++ }

func (m *mean) seconds() float64 { return m.sum.Seconds() / float64(m.n) }

func newEstimator(cfg *config, now time.Time) estimator {
	e := estimator{cfg: cfg, limit: float64(cfg.initial)}
	e.open(now, 0)
	return e
}

// open begins a window.
func (e *estimator) open(now time.Time, inFlight int) {
	length := e.cfg.window
	if e.all.n > 0 {
		latencies := time.Duration(windowLatencies)
		if e.probing {
			latencies = probeLatencies
		}
		length = max(length, latencies*e.all.sum/time.Duration(e.all.n))
	}
	if now.Before(e.drained) {
		now = e.drained
	}
	e.begin, e.half, e.end = now, now.Add(length/2), now.Add(length)
	e.calls, e.all, e.peak = mean{}, mean{}, inFlight
}

// admitted notes how many calls are under way.
func (e *estimator) admitted(inFlight int) { e.peak = max(e.peak, inFlight) }

// observe takes the latency of a call and reports whether a window is over. A
// window with too few calls goes on, and then all calls count that began in it.
func (e *estimator) observe(start, now time.Time, inFlight int) bool {
	took, over := now.Sub(start), !now.Before(e.end)
	e.all.add(took)
	if !start.Before(e.begin) && (over || start.Before(e.half)) {
		e.calls.add(took)
	}
	if !over || e.calls.n < e.cfg.minSamples {
		return false
	}
	e.latency = max(e.calls.seconds(), 1e-9)
	e.decide(now)
	e.open(now, inFlight)
	return true
}

// usual reports whether a call that was cut short after took is not known to have
// been slower than others.
func (e *estimator) usual(took time.Duration) bool { return took.Seconds() <= e.latency }

// decide moves the limit at the end of a window.
func (e *estimator) decide(now time.Time) {
	here := step{e.limit, e.latency}
	e.busy++
	switch {
	case e.probing:
		e.probe(here, now)
	case 2*float64(e.peak) < e.limit:
		e.busy = 0
		e.idle()
	case e.doubts(now):
		// In the first window of a burst, the queue is still growing.
		if e.busy > 1 {
			e.probing, e.before = true, here
			e.halve(here, now)
		}
	default:
		e.base = min(e.base, e.latency)
		e.limit += e.cfg.smoothing * (e.target(here, minGradient) - e.limit)
	}
	e.limit = min(max(e.limit, float64(e.cfg.min)), float64(e.cfg.max))
}

// idle learns the unloaded latency while the limit is hardly in use. The limit
// stays: that it would be too low, or too high, does not show.
func (e *estimator) idle() {
	if e.base == 0 {
		e.base = e.latency
		return
	}
	e.base += idleWeight * (e.latency - e.base)
}

// doubts reports whether the unloaded latency has to be measured.
func (e *estimator) doubts(now time.Time) bool {
	if e.probedAt.IsZero() || !now.Before(e.nextProbe) {
		return true
	}
	early := !now.Before(e.probedAt.Add(e.cfg.probeInterval / earlyProbes))
	return early && (!e.sure || e.limit < fallen*e.probed)
}

// probe goes on to halve the limit while that makes calls shorter in proportion,
// and takes the latency from which it does not for the unloaded one.
func (e *estimator) probe(here step, now time.Time) {
	queue := e.last.latency * here.limit / e.last.limit * proportional
	if here.latency < queue && here.limit > float64(e.cfg.min) {
		e.halve(here, now)
		return
	}
	e.sure = max(e.base, here.latency) <= agreement*min(e.base, here.latency)
	if e.sure {
		e.base = (e.base + here.latency) / 2
	} else {
		e.base = here.latency
	}
	e.limit = e.target(e.before, 0)
	e.probing = false
	e.probed, e.probedAt = e.limit, now
	e.nextProbe = now.Add(time.Duration((0.9 + 0.2*rand.Float64()) * float64(e.cfg.probeInterval)))
}

// halve halves the limit. What is measured begins when the calls that are too many
// have had time to end.
func (e *estimator) halve(here step, now time.Time) {
	e.last = here
	e.limit = here.limit / 2
	e.drained = now.Add(duration(here.latency))
}

// target is where the limit should be, by what calls took at s. From there it is
// at least floor times as high, and at most maxGradient times.
func (e *estimator) target(s step, floor float64) float64 {
	gradient := (e.cfg.tolerance*e.base + e.cfg.slack.Seconds()) / s.latency
	return s.limit*min(max(gradient, floor), maxGradient) + math.Sqrt(s.limit)
}
