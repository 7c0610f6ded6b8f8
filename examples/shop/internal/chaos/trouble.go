// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrInjected is what a struck call fails with.
var ErrInjected = errors.New("chaos: injected fault")

// AwayError is an [ErrInjected] that says when to come back.
type AwayError struct {
	// For is how long it is of no use to try again.
	For time.Duration
}

// Error implements error.
func (e *AwayError) Error() string { return fmt.Sprintf("chaos: away for %v", e.For) }

// Is reports whether target is [ErrInjected].
func (*AwayError) Is(target error) bool { return target == ErrInjected }

// Trouble is a [Fault] at work. Make it with [Begin]. It is safe for concurrent
// use, starts no goroutine and has nothing to close.
type Trouble struct {
	fault Fault
	begun time.Time
	queue *queue // nil: without bounds
}

// Begin begins the trouble that f is, at this moment for those faults that come
// and go.
func Begin(f Fault) *Trouble {
	t := &Trouble{fault: f, begun: time.Now()}
	if f.Overload.PerSecond > 0 {
		t.queue = newQueue(f.Overload.PerSecond)
	}
	return t
}

// Strike makes a call suffer, and returns ErrInjected if it is one of those that
// fail: an [*AwayError] if it is told when to come back. It returns the context's
// error as soon as ctx ends.
//
// An overloaded dependency has [Workers] workers, who take calls in the order in
// which they came. Below its capacity a call takes as long as a worker needs for
// it. Beyond it, calls wait longer and longer, and the work for callers that have
// given up is done all the same, as most servers would: soon every worker works
// for nobody. At a backlog of [MaxBacklog] calls fail at once.
func (t *Trouble) Strike(ctx context.Context) error {
	if left, away := t.away(); away && by(t.fault.Away.Fraction) {
		return &AwayError{For: left}
	}
	if t.failing() {
		return ErrInjected
	}
	if t.queue != nil {
		wait, ok := t.queue.enter(time.Now())
		if !ok {
			return ErrInjected
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	if by(t.fault.Slow.Fraction) {
		if err := sleep(ctx, t.fault.Slow.Delay); err != nil {
			return err
		}
	}
	if by(t.fault.FailRate) {
		return ErrInjected
	}
	return nil
}

// Lose reports whether the answer to a call that has done its work is lost.
func (t *Trouble) Lose() bool { return by(t.fault.LoseRate) }

// failing reports whether a flapping dependency fails now.
func (t *Trouble) failing() bool {
	flap := t.fault.Flap
	return flap.Failing > 0 && time.Since(t.begun)%(flap.Failing+flap.Well) < flap.Failing
}

// away reports whether the dependency is away now, and for how long.
func (t *Trouble) away() (left time.Duration, away bool) {
	d := t.fault.Away.For
	if d <= 0 {
		return 0, false
	}
	left = d - time.Since(t.begun)%(2*d)
	return left, left > 0
}

// by is true with a probability.
func by(fraction float64) bool {
	return fraction >= 1 || fraction > 0 && rand.Float64() < fraction
}

// sleep waits for d, and no longer than ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
