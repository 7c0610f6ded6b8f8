// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
)

// ForceOpen makes the breaker refuse every call until [Breaker.Reset] or
// [Breaker.ForceClose]. Calls under way no longer count.
func (b *Breaker) ForceOpen(ctx context.Context) {
	b.force(ctx, resilience.StateOpen, true, "forced open")
}

// ForceClose makes the breaker admit every call, whatever becomes of it, until
// [Breaker.Reset] or [Breaker.ForceOpen]. Nothing counts.
func (b *Breaker) ForceClose(ctx context.Context) {
	b.force(ctx, resilience.StateClosed, true, "forced closed")
}

// Reset closes the breaker and lets it decide for itself again, from an empty
// window. Calls under way no longer count.
func (b *Breaker) Reset(ctx context.Context) {
	b.force(ctx, resilience.StateClosed, false, "reset")
}

func (b *Breaker) force(ctx context.Context, to resilience.State, forced bool, reason string) {
	if change := b.anew(to, forced, reason); change.From != change.To {
		b.changed(ctx, change)
	}
}

func (b *Breaker) anew(to resilience.State, forced bool, reason string) *resilience.StateChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	change := &resilience.StateChange{Name: b.name, From: b.state, To: to, Reason: reason}
	b.renew(to)
	b.forced = forced
	return change
}

// renew begins anew in state: with a new gobreaker, because one cannot be reset,
// and new counts. It requires mu.
func (b *Breaker) renew(state resilience.State) {
	b.gb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         b.name,
		MaxRequests:  uint32(b.cfg.probes),
		Interval:     b.cfg.window,
		BucketPeriod: bucketPeriod(b.cfg.window),
		// The open time is ours. gobreaker is open for any time that is shorter, and
		// is not asked before.
		Timeout:       time.Nanosecond,
		ReadyToTrip:   b.readyToTrip,
		IsExcluded:    func(err error) bool { return err == errIgnored }, //nolint:errorlint // our own value, as it is
		OnStateChange: func(_ string, _, to gobreaker.State) { b.gbState = to },
	})
	b.gbState = gobreaker.StateClosed
	b.enter(state)
}

// enter begins a state. It requires mu.
func (b *Breaker) enter(state resilience.State) {
	b.state = state
	b.since = time.Now()
	b.epoch++
	b.probes = nil
	b.retryAt = time.Time{}
	b.tripSlow = false
	if b.cfg.slow {
		b.slow.reset(bucketPeriod(b.cfg.window))
	}
}

// readyToTrip is asked by gobreaker after each failure while closed, under mu.
func (b *Breaker) readyToTrip(c gobreaker.Counts) bool {
	b.gbCounts = c
	if b.tripSlow {
		return true
	}
	calls := c.TotalSuccesses + c.TotalFailures
	return int64(calls) >= int64(b.cfg.minCalls) && float64(c.TotalFailures)/float64(calls) >= b.cfg.failureRatio
}

// settle follows gobreaker after the report of a call that was admitted in the
// closed state. It requires mu.
func (b *Breaker) settle(retryAfter time.Duration) *resilience.StateChange {
	if b.gbState != gobreaker.StateOpen {
		return nil
	}
	failures, calls := b.gbCounts.TotalFailures, b.gbCounts.TotalSuccesses+b.gbCounts.TotalFailures
	reason := fmt.Sprintf("failure ratio %.2f of %d calls", float64(failures)/float64(calls), calls)
	if b.tripSlow {
		reason = fmt.Sprintf("slow call ratio %.2f of %d calls, %v or longer", b.slow.ratio(), b.slow.sum.calls, b.cfg.slowThreshold)
	}
	return b.trip(reason, retryAfter)
}

// settleProbe follows gobreaker after the report of a probe. It requires mu.
func (b *Breaker) settleProbe(kind class, outcome resilience.Outcome, took, retryAfter time.Duration) *resilience.StateChange {
	switch b.gbState {
	case gobreaker.StateOpen:
		reason := "probe failed: " + outcome.String()
		if kind != classFailure {
			reason = fmt.Sprintf("probe slow: %v", took)
		}
		return b.trip(reason, retryAfter)
	case gobreaker.StateClosed:
		return b.move(resilience.StateClosed, fmt.Sprintf("%d probes succeeded", b.cfg.probes))
	default:
		return nil
	}
}

// trip opens the breaker: for as long as its own open time or, if the call that
// made the difference was told how long to wait, for that long; and longer if
// others of its kind were told to wait longer. It requires mu.
func (b *Breaker) trip(reason string, retryAfter time.Duration) *resilience.StateChange {
	openFor := b.cfg.openTime
	if retryAfter > 0 {
		openFor = b.bounded(retryAfter)
	}
	if !b.retryAt.IsZero() {
		openFor = max(openFor, time.Until(b.retryAt))
	}
	openFor += time.Duration(rand.Float64() * b.cfg.jitter * float64(openFor))

	change := b.move(resilience.StateOpen, reason)
	change.OpenFor = openFor
	b.openUntil = b.since.Add(openFor)
	b.trips++
	b.last = change
	return change
}

// extend keeps an open breaker open for longer if a call that was under way when
// it tripped was told to wait for longer. It requires mu.
func (b *Breaker) extend(retryAfter time.Duration) {
	if retryAfter > 0 && b.state == resilience.StateOpen {
		b.openUntil = later(b.openUntil, time.Now().Add(b.bounded(retryAfter)))
	}
}

// bounded returns the open time for what a downstream service asked for.
func (b *Breaker) bounded(retryAfter time.Duration) time.Duration {
	return min(max(retryAfter, b.cfg.minRetryAfter), b.cfg.maxRetryAfter)
}

// move enters another state. It requires mu.
func (b *Breaker) move(to resilience.State, reason string) *resilience.StateChange {
	change := &resilience.StateChange{Name: b.name, From: b.state, To: to, Reason: reason}
	b.enter(to)
	return change
}
