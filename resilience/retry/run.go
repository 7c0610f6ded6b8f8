// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// Run is one call on its way through its attempts, for adapters that own the loop
// because an attempt does not end where a function returns: streams.
//
//	run := policy.Start(ctx)
//	for {
//		ctx, limit := run.Begin()
//		…                            // the attempt; limit.Lift() at its first message
//		wait, again, _ := run.Next(result)
//		if !again {
//			break                    // limit.End() when the stream is over
//		}
//		limit.End()
//		if run.Wait(wait) != nil {
//			break
//		}
//	}
//	return run.Summary().Err
//
// Use [Policy.Start]; the zero value is not usable. A Run belongs to one call and is
// not safe for concurrent use.
type Run struct {
	policy *Policy
	ctx    context.Context //nolint:containedctx // a run is a running loop
	mark   mark            // of the request that the call belongs to
	number int
	// backoffs counts the waits since the start or the last push-back.
	backoffs       int
	started, began time.Duration // on the clock of now
	limit          *Limit
	summary        Summary
}

// Start begins a call: it counts for the budget. ctx is the call's, for all of its
// attempts.
func (p *Policy) Start(ctx context.Context) Run {
	t := now()
	if p.budget != nil {
		p.budget.deposit(t)
	}
	return Run{policy: p, ctx: ctx, mark: markFrom(ctx), number: 1, started: t, began: t}
}

// Begin begins an attempt and returns its context and its time limit, which is nil
// if there is none. It is called once before each attempt, the first included.
func (r *Run) Begin() (context.Context, *Limit) { return r.begin(false) }

// Attempt returns which attempt is under way.
func (r *Run) Attempt() Attempt { return r.attempt(r.limit) }

func (r *Run) attempt(l *Limit) Attempt {
	return Attempt{Number: r.number, Max: r.policy.maxAttempts, limit: l}
}

// begin begins an attempt; its time limit is a deadline if hard.
func (r *Run) begin(hard bool) (context.Context, *Limit) {
	if r.number > 1 {
		r.began = now()
	}
	ctx := r.ctx
	if r.number > 1 || r.mark.number > 1 {
		ctx = WithAttempt(ctx, r.number)
	}
	p := r.policy
	limit, shortened := p.perTry, false
	if p.overall > 0 {
		if left := max(p.overall-(r.began-r.started), 1); limit == 0 || left < limit {
			limit, shortened = left, true
		}
	}
	if deadline, ok := ctx.Deadline(); limit == 0 || ok && time.Until(deadline) <= limit {
		r.limit = nil
		return ctx, nil
	}
	switch {
	case !hard:
		r.limit = timerLimit(ctx, limit)
	case !shortened:
		r.limit = deadlineLimit(ctx, p.perTryBound)
	default:
		bound, _ := noLongerThan(limit) // which is positive, and that is the only rule
		r.limit = deadlineLimit(ctx, bound)
	}
	return r.limit.ctx, r.limit
}

// Next says what follows the attempt that ended with res: another one after wait,
// or none. The reason for that is empty if res is a success. Observers are told.
//
// An attempt that failed and was ended by its time limit is a timeout, whatever else
// res says.
func (r *Run) Next(res Result) (wait time.Duration, again bool, reason string) {
	p := r.policy
	if res.Outcome == resilience.OutcomeOK {
		p.learn(r.began)
		r.summary = Summary{Result: res, Attempts: r.number}
		r.observe(resilience.Attempt{Err: res.Err})
		return 0, false, ""
	}
	if r.limit.passed() {
		res.Outcome = resilience.OutcomeTimeout
	}
	wait, reason = r.decide(res)
	again = reason == ""
	r.summary = Summary{Result: res, Attempts: r.number, Reason: reason}
	r.observe(resilience.Attempt{Outcome: res.Outcome, Err: res.Err, Again: again, Backoff: wait, Reason: reason})
	if !again {
		r.summary.Err = r.wrap(res.Err)
		return 0, false, reason
	}
	r.number++
	r.backoffs++
	if res.Pushback.said {
		r.backoffs = 0 // gRFC A6: the backoff begins anew
	}
	return wait, true, ""
}

// decide returns how long to wait for the next attempt, or why there is none. What
// costs something comes last: the token of the budget.
func (r *Run) decide(res Result) (wait time.Duration, reason string) {
	p := r.policy
	switch {
	case r.ctx.Err() != nil:
		return 0, ReasonEnded
	case res.Pushback.stop && IsRetryable(res.Outcome): // also where nobody would retry: our caller is to know
		return 0, ReasonPushback
	case !p.retries(res):
		return 0, ReasonNotRetryable
	case r.number >= p.maxAttempts:
		return 0, ReasonExhausted
	case res.Pushback.after > p.maxPushback:
		return 0, ReasonPushbackTooLong
	case res.Veto != "":
		return 0, res.Veto
	case r.mark.previous > 0 && !p.nested:
		return 0, ReasonNested
	}
	if res.Pushback.said {
		// Those who were told the same must not all come at the same time.
		wait = res.Pushback.after + p.jitter(min(res.Pushback.after, p.backoff.base))
	} else {
		wait = p.jitter(p.backoff.ceiling(r.backoffs))
	}
	if left, bounded := r.left(); bounded && wait+p.Estimate() >= left {
		return 0, ReasonDeadline
	}
	if p.budget != nil && !p.budget.Withdraw() {
		return 0, ReasonBudget
	}
	return wait, ""
}

// retries reports whether a failure is one that the policy retries.
func (p *Policy) retries(res Result) bool {
	if res.Retryable && !p.chosen {
		return IsRetryable(res.Outcome)
	}
	return int(res.Outcome) < len(p.retryOn) && p.retryOn[res.Outcome]
}

// left returns how much time there is, by the caller's deadline and by our own
// limit of all attempts.
func (r *Run) left() (left time.Duration, bounded bool) {
	if deadline, ok := r.ctx.Deadline(); ok {
		left, bounded = time.Until(deadline), true
	}
	if r.policy.overall > 0 {
		own := r.policy.overall - (now() - r.started)
		if !bounded || own < left {
			left, bounded = own, true
		}
	}
	return left, bounded
}

// wrap says what became of the call besides the last attempt's error, if there is
// something to say.
func (r *Run) wrap(err error) error {
	if err == nil {
		return nil
	}
	if r.number == 1 {
		switch r.summary.Reason {
		case ReasonEnded, ReasonNotRetryable:
			return err // nobody wanted another
		case ReasonExhausted:
			return err // retries are switched off
		}
	}
	return &resilience.AttemptsError{Attempts: r.number, Reason: r.summary.Reason, Last: err}
}

// Wait waits for d, or until the call's context ends: then there is no other attempt,
// and the error is that of [Run.Summary].
func (r *Run) Wait(d time.Duration) error {
	if d > 0 && r.ctx.Err() == nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.ctx.Done():
		}
	}
	if r.ctx.Err() == nil {
		return nil
	}
	attempts := r.number - 1 // the next was not made
	r.summary = Summary{
		Result: Result{
			Outcome: ended.By(r.ctx),
			Err: &resilience.AttemptsError{
				Attempts: attempts,
				Reason:   ReasonEnded,
				Last:     &interruptedError{end: r.ctx.Err(), cause: context.Cause(r.ctx), last: r.summary.Err},
			},
		},
		Attempts: attempts,
		Reason:   ReasonEnded,
	}
	return r.summary.Err
}

// Summary returns how the call ended. It is for after Next has said that there is no
// other attempt, or Wait has failed.
func (r *Run) Summary() Summary { return r.summary }

// observe tells of the attempt that has ended.
func (r *Run) observe(a resilience.Attempt) {
	tell := r.policy.observer.Attempted
	if tell == nil {
		return
	}
	a.Policy, a.Name = resilience.PolicyRetry, r.policy.name
	a.Number, a.Max = r.number, r.policy.maxAttempts
	a.Budget = -1
	if r.policy.budget != nil {
		a.Budget = r.policy.budget.Remaining()
	}
	tell(r.ctx, a)
}

// interruptedError is a backoff that the end of the context cut short. It unwraps to
// that alone: what the last attempt said no longer matters to the caller.
type interruptedError struct{ end, cause, last error }

func (e *interruptedError) Error() string {
	if e.last == nil {
		return fmt.Sprintf("backoff interrupted: %v", e.cause)
	}
	return fmt.Sprintf("backoff interrupted: %v; the last attempt: %v", e.cause, e.last)
}

func (e *interruptedError) Unwrap() []error { return []error{e.cause, e.end} }
