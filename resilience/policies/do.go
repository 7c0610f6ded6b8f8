// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// Do makes a call of a kind that has no adapter, as often as it takes and the policies
// allow. f makes one attempt and says how it ended; it is not called for one that is
// refused, which ends as [resilience.OutcomeRejected]. A failure that is transient, or
// due to time, is put down to what ended the attempt's context if that has ended. If
// calls are hedged, f must be safe for concurrent use. A panic of f passes through.
func (c *Client) Do(ctx context.Context, f func(context.Context, retry.Attempt) retry.Result) retry.Summary {
	switch {
	case c.Hedge != nil:
		_, summary := hedge.Do(ctx, c.Hedge, func(ctx context.Context, a retry.Attempt) (struct{}, retry.Result) {
			return struct{}{}, c.attempt(ctx, a, f)
		}, nil)
		return summary
	case c.Retry != nil:
		return c.Retry.Do(ctx, func(ctx context.Context, a retry.Attempt) retry.Result {
			return c.attempt(ctx, a, f)
		})
	default:
		summary := retry.Summary{Result: c.attempt(ctx, retry.Attempt{Number: 1, Max: 1}, f), Attempts: 1}
		if summary.Outcome != resilience.OutcomeOK {
			summary.Reason = retry.ReasonExhausted
		}
		return summary
	}
}

func (c *Client) attempt(ctx context.Context, a retry.Attempt, f func(context.Context, retry.Attempt) retry.Result) retry.Result {
	permit, err := c.Admit(ctx)
	if err != nil {
		return retry.Result{Outcome: ended.Outcome(ctx, err), Err: err}
	}
	defer permit.Release()
	start := now()
	res := f(ctx, a)
	took := now() - start
	res.Outcome = whose(ctx, res.Outcome)
	retryAfter, _ := res.Pushback.After()
	if e, ok := errors.AsType[*resilience.RejectedError](res.Err); ok && e.Remote {
		permit.Answered(ctx)
	} else {
		permit.Done(ctx, res.Outcome, took, retryAfter)
	}
	return res
}

// whose returns how an attempt ended whose function said outcome: not every one looks
// whether it was the end of ctx that made its call fail, nor who ended that.
func whose(ctx context.Context, outcome resilience.Outcome) resilience.Outcome {
	switch outcome {
	case resilience.OutcomeTransient, resilience.OutcomeCanceled, resilience.OutcomeCallerDeadline, resilience.OutcomeTimeout:
		if by := ended.By(ctx); by != resilience.OutcomeOK {
			return by
		}
	}
	return outcome
}

// origin is where now counts from. Its value does not matter.
var origin = time.Now()

// now reads the monotonic clock alone, at half the price of time.Now.
func now() time.Duration { return time.Since(origin) }

// Permit is the permission to send one attempt. It is reported with [Permit.Done] or
// given back with [Permit.Release]; the first of them counts and the rest does nothing,
// on the same variable and from whatever goroutine. A copy is not another permit. The
// zero Permit is one that nobody waits for.
type Permit struct {
	lease breaker.Lease
	slot  bulkhead.Permit
}

// Admit asks for the permission to send one attempt: it asks the breaker, waits for the
// rate limit, and then for a place in the bulkhead. A refusal is a
// [*resilience.RejectedError]. If ctx ends while the attempt waits, the error matches
// ctx.Err() and its cause, and is no refusal.
func (c *Client) Admit(ctx context.Context) (Permit, error) {
	var p Permit
	var err error
	if c.Breaker != nil {
		if p.lease, err = c.Breaker.Allow(ctx); err != nil {
			return Permit{}, err
		}
	}
	admitted := false
	defer func() { // also if an observer panics
		if !admitted {
			p.lease.Release()
		}
	}()
	if c.RateLimit != nil {
		if err = c.RateLimit.Wait(ctx); err != nil {
			return Permit{}, err
		}
	}
	if c.Bulkhead != nil {
		if p.slot, err = c.Bulkhead.Allow(ctx); err != nil {
			return Permit{}, err
		}
	}
	admitted = true
	return p, nil
}

// Done reports how the attempt ended to the breaker, see [breaker.Lease.Done], and frees
// its place in the bulkhead.
func (p *Permit) Done(ctx context.Context, outcome resilience.Outcome, took, retryAfter time.Duration) {
	p.slot.Done()
	p.lease.Done(ctx, outcome, took, retryAfter)
}

// Answered reports an attempt that a policy over there refused, see
// [breaker.Lease.Answered], and frees its place in the bulkhead.
func (p *Permit) Answered(ctx context.Context) {
	p.slot.Done()
	p.lease.Answered(ctx)
}

// Release frees the place of an attempt that has not been reported. The breaker does not
// count it.
func (p *Permit) Release() {
	p.slot.Done()
	p.lease.Release()
}
