// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// unreachable takes an endpoint out of picks that could not be reached. Of several calls
// that fail together, the first counts.
func (b *Balancer) unreachable(e *Endpoint) {
	b.mu.Lock()
	defer b.unlock()
	if e.out.Load()&(outDown|outRemoved) != 0 {
		return
	}
	now := b.now()
	if now > e.downUntil+int64(b.maxBackoff) {
		e.failures = 0
	}
	backoff := b.maxBackoff
	if shift := e.failures; shift < 32 && b.minBackoff<<shift>>shift == b.minBackoff {
		backoff = min(b.minBackoff<<shift, b.maxBackoff)
	}
	e.failures++
	e.downUntil = now + int64(backoff)
	e.out.Or(outDown)
	e.gone()
	b.counts.unreachable++
	note(b, b.observer.Unreachable, Unreached{e.Instance(), backoff, e.failures})
	b.touch()
}

// reached puts an endpoint back that was called all the same, and answered.
func (b *Balancer) reached(e *Endpoint) {
	b.mu.Lock()
	defer b.unlock()
	if e.out.Load()&outDown != 0 {
		e.failures = 0
		b.back(e, outDown, ReasonUnreachable, b.now())
		b.touch()
	}
}

// aside takes an endpoint out of picks for as long as it asked.
func (b *Balancer) aside(e *Endpoint, d time.Duration) {
	b.mu.Lock()
	defer b.unlock()
	until := b.now() + int64(d)
	if e.out.Load()&outAside != 0 && until <= e.asideUntil {
		return
	}
	e.asideUntil = until
	if e.out.Or(outAside)&outAside == 0 {
		b.counts.aside++
		b.touch()
	}
}

// failing ejects an endpoint that failed too often in a row, unless it is out of picks
// as it is: calls fail together when a connection breaks.
func (b *Balancer) failing(e *Endpoint) {
	if b.eject.off {
		return
	}
	b.mu.Lock()
	defer b.unlock()
	if e.out.Load() == 0 {
		b.ejectFor(e, ReasonConsecutive, b.now())
	}
}

// ejectFor ejects an endpoint, if there may be another one.
func (b *Balancer) ejectFor(e *Endpoint, r Reason, now int64) {
	event := Ejection{Instance: e.Instance(), Reason: r, For: min(b.eject.time*time.Duration(e.ejections+1), b.eject.max), Times: e.ejections + 1}
	if b.ejected >= b.mayEject() || !b.spare(e) {
		b.counts.spared++
		note(b, b.observer.Spared, event)
		return
	}
	b.ejected++
	b.counts.ejections[r]++
	e.ejections++
	e.ejectedNow, e.fresh, e.reason = true, true, r
	e.ejectedUntil = now + int64(event.For)
	e.out.Or(outEjected)
	note(b, b.observer.Ejected, event)
	b.touch()
}

// restore puts back an endpoint that was ejected.
func (b *Balancer) restore(e *Endpoint, now int64) {
	b.ejected--
	b.back(e, outEjected, e.reason, now)
}

// mayEject returns how many endpoints may be ejected at a time.
func (b *Balancer) mayEject() int {
	n := len(b.ordered)
	if n < 2 {
		return 0
	}
	return max(1, int(b.eject.maxEjected*float64(n)))
}

// spare reports whether there is an endpoint left without e.
func (b *Balancer) spare(e *Endpoint) bool {
	return slices.ContainsFunc(b.ordered, func(o *Endpoint) bool { return o != e && o.out.Load() == 0 })
}

func (b *Balancer) firstEjected() *Endpoint {
	var first *Endpoint
	for _, e := range b.ordered {
		if e.out.Load()&outEjected != 0 && (first == nil || e.ejectedUntil < first.ejectedUntil) {
			first = e
		}
	}
	return first
}

// record is how an endpoint did in an interval.
type record struct {
	e       *Endpoint
	success float64
}

// judge compares the endpoints, if the interval is over.
func (b *Balancer) judge(now int64) {
	if b.eject.off || now < b.interval {
		return
	}
	b.interval = now + int64(b.eject.interval)
	var records []record
	for _, e := range b.ordered {
		if r, ok := b.recordOf(e); ok {
			records = append(records, r)
		}
		if e.ejections > 0 && !e.ejectedNow && e.out.Load()&outEjected == 0 {
			e.ejections--
		}
		e.ejectedNow = false
	}
	slices.SortFunc(records, func(x, y record) int { return cmp.Compare(x.success, y.success) })
	least := b.least(records)
	for _, r := range records {
		switch failed := 1 - r.success; {
		case r.e.out.Load()&outEjected != 0:
		case b.eject.failureShare > 0 && failed >= b.eject.failureShare:
			b.ejectFor(r.e, ReasonFailureShare, now)
		case r.success < least:
			b.ejectFor(r.e, ReasonDeviation, now)
		}
	}
}

// recordOf returns how an endpoint did since the last time, if there were enough calls.
func (b *Balancer) recordOf(e *Endpoint) (record, bool) {
	well, failed := e.calls.Load()>>inFlightBits, e.failed.Load()
	w, f := well-e.okMark, failed-e.failedMark
	e.okMark, e.failedMark = well, failed
	return record{e, float64(w) / float64(max(w+f, 1))}, w+f >= uint64(b.eject.minCalls)
}

// least returns the rate of success below which an endpoint is ejected.
func (b *Balancer) least(records []record) float64 {
	n := float64(len(records))
	if b.eject.deviation == 0 || len(records) < b.eject.minEndpoints {
		return 0
	}
	var sum, squares float64
	for _, r := range records {
		sum += r.success
	}
	mean := sum / n
	for _, r := range records {
		squares += (r.success - mean) * (r.success - mean)
	}
	return mean - b.eject.deviation*math.Sqrt(squares/n)
}
