// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Endpoint is an instance at an address, with what its balancer knows of it. It stays
// the same for as long as id and address do, whatever else of the instance changes. It
// is safe for concurrent use.
type Endpoint struct {
	// What picks read and write comes first and fits a cache line, which an endpoint
	// shares with no other: it is 128 bytes long, and so aligned to as many.

	// calls is how many are in flight, in the low bits, and how many ended well.
	calls atomic.Uint64
	// latency is a packed moving average; see latency.go.
	latency atomic.Uint64
	// load is how much of an average endpoint's load one call is to this one, by
	// weight: a float64.
	load atomic.Uint64
	// ramp is when the slow start began, or 0.
	ramp atomic.Int64
	// failed and other are how many calls ended otherwise than well: those that
	// count as failures, and the rest.
	failed atomic.Uint64
	other  atomic.Uint64
	// out are the reasons not to pick it.
	out atomic.Uint32
	// streak is how many calls failed in a row.
	streak atomic.Int32

	b        *Balancer
	instance atomic.Pointer[discovery.Instance]
	value    any
	*details
	_ [32]byte
}

// details are an endpoint's part in decisions, under the balancer's lock.
type details struct {
	key    key
	weight int
	// fresh: it is to start slowly when it is next in picks.
	fresh bool
	// When it is back from being out, by reason.
	ejectedUntil, asideUntil, downUntil int64
	reason                              Reason // of the ejection
	ejections, failures                 int    // in a row
	ejectedNow                          bool   // in this interval
	// What calls and failed were when the interval began.
	okMark, failedMark uint64
	// What was counted of its picks, and as which kind those since then count.
	counted uint64
	kind    kind
}

// key is what makes an endpoint the same.
type key struct{ id, address string }

func keyOf(in *discovery.Instance) key { return key{in.ID, in.Address} }

// Why an endpoint is not picked.
const (
	outSuspended uint32 = 1 << iota
	outRemoved
	outDown
	outEjected
	outAside

	outHard = outSuspended | outRemoved
	outAny  = outHard | outDown | outEjected | outAside
)

const (
	inFlightBits = 20
	inFlightMask = 1<<inFlightBits - 1
	oneWell      = 1 << inFlightBits
)

// Instance returns the instance as of the last update. It is not to be changed.
func (e *Endpoint) Instance() *discovery.Instance { return e.instance.Load() }

// Value returns what [Edit.Add] was given.
func (e *Endpoint) Value() any { return e.value }

// Unmeasured returns the pick that every one of the endpoint's is of which the latency is
// not measured: for adapters that cannot keep one for each call.
func (e *Endpoint) Unmeasured() Pick { return Pick{e: e} }

// InFlight returns how many calls were picked and have not ended.
func (e *Endpoint) InFlight() int { return int(e.calls.Load() & inFlightMask) }

// Latency returns how long calls take, as a moving average, which leans to that of the
// other endpoints the longer ago the last one was; 0 if nothing is known.
func (e *Endpoint) Latency() time.Duration {
	return time.Duration(e.estimate(e.b.snap.Load(), e.b.now()))
}

// Weight returns its weight as picks see it: less than the instance's during slow
// start, and 0 if it is out of picks.
func (e *Endpoint) Weight() float64 {
	s := e.b.current()
	if e.out.Load()&s.excluded != 0 {
		return 0
	}
	e.b.mu.Lock()
	defer e.b.mu.Unlock()
	return float64(e.weight) * e.ramped(e.b.now())
}

// Suspend takes the endpoint out of picks, at once, until [Endpoint.Resume]: there is
// no connection to it.
func (e *Endpoint) Suspend() { e.suspend(false) }

// Lost is [Endpoint.Suspend] for an endpoint that could not be reached: when it is back,
// it starts slowly, and if it was ejected, that is over.
func (e *Endpoint) Lost() { e.suspend(true) }

// Resume takes the endpoint into picks again, with the next one.
func (e *Endpoint) Resume() {
	e.b.mu.Lock()
	defer e.b.unlock()
	if e.out.Load()&outSuspended == 0 {
		return
	}
	e.out.And(^outSuspended)
	e.begin(e.b.now())
	e.b.touch()
}

func (e *Endpoint) suspend(fresh bool) {
	e.b.mu.Lock()
	defer e.b.unlock()
	if fresh {
		e.gone()
	}
	if e.out.Or(outSuspended)&outSuspended == 0 {
		e.b.touch()
	}
}

// gone notes that the endpoint could not be reached. Whoever answers there next is another
// process as a rule, which is not held to what the last one did.
func (e *Endpoint) gone() {
	e.fresh = true
	if e.out.Load()&outEjected != 0 {
		e.b.restore(e, e.b.now())
	}
}

// begin starts slowly, if it is in picks by now and has to.
func (e *Endpoint) begin(now int64) {
	if !e.fresh || e.out.Load() != 0 {
		return
	}
	e.fresh = false
	e.latency.Store(0)
	e.streak.Store(0)
	if e.b.slowStart > 0 {
		e.ramp.Store(now)
	}
}

// ramped returns which share of its weight it has by now in its slow start.
func (e *Endpoint) ramped(now int64) float64 {
	began := e.ramp.Load()
	if began == 0 {
		return 1
	}
	return min(1, max(e.b.slowStartMin, float64(now-began)/float64(e.b.slowStart)))
}

// picked returns how many picks there were.
func (e *Endpoint) picked() uint64 {
	calls := e.calls.Load()
	return calls&inFlightMask + calls>>inFlightBits + e.failed.Load() + e.other.Load()
}

func (e *Endpoint) loadFactor() float64 { return math.Float64frombits(e.load.Load()) }
