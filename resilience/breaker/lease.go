// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// Lease is the permission to make one call. It is reported with [Lease.Done] or
// given back with [Lease.Release]; the first of them counts and the rest does
// nothing, on the same variable and from whatever goroutine. A copy is not another
// lease. The zero Lease is one that nobody waits for.
type Lease struct {
	breaker *Breaker
	epoch   uint64
	probe   *probe // nil unless the breaker was half-open
	ended   bool   // under breaker.mu: reported or released
}

// probe is a call that was let through while half-open.
type probe struct {
	done    func(error)     // gobreaker's
	ended   <-chan struct{} // its context's
	expires time.Time       // its lease, or its context's deadline
}

func newProbe(ctx context.Context, expires time.Time) *probe {
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(expires) {
		expires = deadline
	}
	return &probe{ended: ctx.Done(), expires: expires}
}

// Done reports how the call ended: its outcome, how long it took, which decides on
// callers' deadlines ([WithPatience]) and slow calls, and for how long the downstream
// service asked not to be called (Retry-After, RetryInfo; 0 if it did not, and
// ignored unless the call counts as a failure).
//
// ctx is the call's; it is given to observers, and the breaker keeps its trace id
// if this call trips it.
func (l *Lease) Done(ctx context.Context, outcome resilience.Outcome, took, retryAfter time.Duration) {
	if b := l.breaker; b != nil {
		b.changed(ctx, b.report(l, b.cfg.classOf(outcome, took), outcome, took, retryAfter))
	}
}

// Answered reports a call that a policy of the downstream service refused, or of one
// behind it: a limit, a load shedder, a breaker. Whoever refuses a share of the calls
// lives, and knows better than a breaker what it has capacity for. The call does not
// count, and is a good probe. It is in place of [Lease.Done].
func (l *Lease) Answered(ctx context.Context) {
	if b := l.breaker; b != nil {
		b.changed(ctx, b.report(l, classAnswered, resilience.OutcomeOverload, 0, 0))
	}
}

// Release gives the lease back if it has not been reported. The call does not
// count.
func (l *Lease) Release() {
	b := l.breaker
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.end() && l.probe != nil && b.drop(l.probe) {
		l.probe.done(errIgnored)
	}
}

// end reports whether the lease had not ended before. It requires the breaker's
// lock.
func (l *Lease) end() bool {
	first := !l.ended
	l.ended = true
	return first
}

// report counts a call and returns the change of state that follows from it.
func (b *Breaker) report(l *Lease, kind class, outcome resilience.Outcome, took, retryAfter time.Duration) *resilience.StateChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !l.end() {
		return nil
	}
	if l.epoch != b.epoch {
		if kind == classFailure {
			b.extend(retryAfter)
		}
		return nil
	}
	if kind != classFailure {
		retryAfter = 0
	}
	if retryAfter > 0 {
		b.retryAt = later(b.retryAt, time.Now().Add(b.bounded(retryAfter)))
	}
	result := kind.result(l.probe != nil)
	slow := b.cfg.slow && took >= b.cfg.slowThreshold
	if l.probe != nil {
		if slow && result == nil {
			result = errFailed
		}
		// A probe whose place was taken back is off gobreaker's books; only what it
		// learned is news.
		if b.drop(l.probe) || result != errIgnored { //nolint:errorlint // our own value, as it is
			l.probe.done(result)
		}
		return b.settleProbe(kind, outcome, took, retryAfter)
	}
	if result == errIgnored { //nolint:errorlint // our own value, as it is
		return nil
	}
	if b.cfg.slow {
		b.slow.add(slow)
		if b.slow.sum.calls >= b.cfg.minCalls && b.slow.ratio() >= b.cfg.slowRatio {
			// readyToTrip is asked after a failure only, and then says yes.
			b.tripSlow, result = true, errFailed
		}
	}
	b.count(result)
	return b.settle(retryAfter)
}

// count tells gobreaker of a call in the closed state: all of it when it has ended,
// because gobreaker counts a call by when it began, and so forgets one that took
// longer than the window. It requires mu.
func (b *Breaker) count(result error) {
	if done, err := b.gb.Allow(); err == nil {
		done(result)
	}
}

// drop forgets a probe that has been reported, and reports whether its place had
// not been taken back before. It requires mu.
func (b *Breaker) drop(p *probe) bool {
	i := slices.Index(b.probes, p)
	if i < 0 {
		return false
	}
	b.probes = slices.Delete(b.probes, i, i+1)
	return true
}

// reclaim takes back the places of probes whose context or lease has ended, and
// reports whether there were any. It requires mu.
func (b *Breaker) reclaim(now time.Time) bool {
	before := len(b.probes)
	b.probes = slices.DeleteFunc(b.probes, func(p *probe) bool {
		if !p.overdue(now) {
			return false
		}
		p.done(errIgnored)
		return true
	})
	return len(b.probes) < before
}

func (p *probe) overdue(now time.Time) bool {
	select {
	case <-p.ended:
		return true
	default:
		return !now.Before(p.expires)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
