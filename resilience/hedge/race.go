// SPDX-License-Identifier: Apache-2.0

package hedge

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// race is one call and its attempts. It belongs to the caller's goroutine: attempts
// send their reports and touch nothing else.
type race[T any] struct {
	policy  *Policy
	ctx     context.Context //nolint:containedctx // a race is a running loop
	f       func(context.Context, retry.Attempt) (T, retry.Result)
	discard func(T)

	reports chan report[T]            // has room for all of them, so that no attempt waits
	cancels []context.CancelCauseFunc // of the attempts sent; in room
	room    [maxAttempts]context.CancelCauseFunc
	running int
	delay   time.Duration
	timer   *time.Timer // fires when the next attempt is to be sent
	blocked string      // why no more attempts are sent; empty while they may be
}

// report is how an attempt ended.
type report[T any] struct {
	number   int
	value    T
	result   retry.Result
	took     time.Duration
	returned bool        // neither a panic nor Goexit
	panicked *PanicError // nil without a panic
}

// PanicError is what [Do] panics with when a hedged attempt panicked: it did so on a
// goroutine of its own, whose stack would be lost otherwise. It unwraps to the value
// if that is an error.
type PanicError struct {
	Value any    // given to panic; a *runtime.PanicNilError for nil
	Stack []byte // of the attempt's goroutine, as runtime/debug.Stack formats it
}

// Error returns the value and the stack, for the log; it is not for peers.
func (e *PanicError) Error() string { return fmt.Sprintf("%v\n\n%s", e.Value, e.Stack) }

// Panicked returns the value and the stack, for those who note panics.
func (e *PanicError) Panicked() (value any, stack []byte) { return e.Value, e.Stack }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// run sends attempts until one has the answer.
func (r *race[T]) run() (value T, summary retry.Summary, release func()) {
	concluded := false
	defer func() {
		if !concluded { // an attempt or a callback panicked
			r.cancel(0)
		}
	}()
	r.cancels = r.room[:0]
	r.timer = time.NewTimer(r.delay)
	defer r.timer.Stop()
	r.start()
	for {
		select {
		case rep := <-r.reports:
			r.running--
			r.rethrow(rep)
			if r.judge(&rep) {
				r.finish(rep.number)
				concluded = true
				return rep.value, r.summary(rep.result), func() { r.cancels[rep.number-1](nil) }
			}
		case <-r.timer.C:
			if len(r.reports) == 0 { // not for one that has just come back
				r.send()
			}
		}
	}
}

// send starts another attempt, if that is possible.
func (r *race[T]) send() (sent bool) {
	switch {
	case r.blocked != "":
		return false
	case r.ctx.Err() != nil:
		r.blocked = retry.ReasonEnded
		return false
	case len(r.cancels) == r.policy.maxAttempts:
		r.blocked = retry.ReasonExhausted
		return false
	case r.policy.budget != nil && !r.policy.budget.Withdraw():
		r.blocked = retry.ReasonBudget
		return false
	}
	r.start()
	r.timer.Reset(r.delay)
	return true
}

func (r *race[T]) start() {
	number := len(r.cancels) + 1
	ctx, cancel := context.WithCancelCause(retry.WithAttempt(r.ctx, number))
	r.cancels = append(r.cancels, cancel)
	r.running++
	go r.attempt(ctx, number)
}

// attempt runs on a goroutine of its own, and reports whatever f does.
func (r *race[T]) attempt(ctx context.Context, number int) {
	rep := report[T]{number: number}
	began := time.Now()
	defer func() {
		if !rep.returned {
			if v := recover(); v != nil {
				rep.panicked = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}
		rep.took = time.Since(began)
		r.reports <- rep
	}()
	rep.value, rep.result = r.f(ctx, retry.Attempt{Number: number, Max: r.policy.maxAttempts})
	rep.returned = true
}

// judge reports whether an attempt's end is that of the call.
func (r *race[T]) judge(rep *report[T]) bool {
	res := rep.result
	if rep.number == 1 {
		r.policy.learn(res.Outcome, rep.took)
	}
	event := resilience.Attempt{Number: rep.number, Outcome: res.Outcome, Err: res.Err}
	if !r.policy.goesOn(res) {
		r.blocked = r.fatal(res.Outcome)
		event.Reason = r.blocked
		r.policy.observe(r.ctx, event)
		return true
	}
	r.block(res)
	event.Again = r.send()
	over := r.running == 0
	if !event.Again {
		event.Reason = r.blocked
	}
	r.policy.observe(r.ctx, event)
	if !over {
		r.drop(*rep)
	}
	return over
}

// fatal returns why a call has no other attempt after an answer, or after a failure
// that another attempt would not change.
func (r *race[T]) fatal(o resilience.Outcome) string {
	switch {
	case o == resilience.OutcomeOK:
		return ""
	case r.ctx.Err() != nil:
		return retry.ReasonEnded
	default:
		return retry.ReasonNotRetryable
	}
}

// block sees to it that nothing more is sent to a server that has too much to do, and
// nothing that cannot be sent again.
func (r *race[T]) block(res retry.Result) {
	_, told := res.Pushback.After()
	switch {
	case r.blocked != "":
	case res.Pushback.IsStop(), told:
		r.blocked = retry.ReasonPushback
	case res.Outcome == resilience.OutcomeOverload:
		r.blocked = ReasonOverloaded
	case res.Veto != "":
		r.blocked = res.Veto
	}
}

// finish cancels the attempts other than the winner, and waits for them.
func (r *race[T]) finish(winner int) {
	r.cancel(winner)
	for r.running > 0 {
		rep := <-r.reports
		r.running--
		r.rethrow(rep)
		if rep.number == 1 {
			r.policy.learn(resilience.OutcomeTimeout, rep.took) // it would have taken longer
		}
		r.policy.observe(r.ctx, resilience.Attempt{
			Number:  rep.number,
			Outcome: resilience.OutcomeCanceled,
			Err:     ctxutil.ErrHedgeLost,
			Reason:  ReasonLost,
		})
		r.drop(rep)
	}
}

// cancel cancels all attempts but one; 0 is none of them.
func (r *race[T]) cancel(but int) {
	for i, cancel := range r.cancels {
		if i+1 != but {
			cancel(ctxutil.ErrHedgeLost)
		}
	}
}

// drop gives up an attempt that has returned.
func (r *race[T]) drop(rep report[T]) {
	if r.discard != nil {
		r.discard(rep.value)
	}
	r.cancels[rep.number-1](ctxutil.ErrHedgeLost)
}

// rethrow ends the caller's goroutine the way the attempt ended its own, if that was
// by a panic or by Goexit. The other attempts are over by then.
func (r *race[T]) rethrow(rep report[T]) {
	if rep.returned {
		return
	}
	r.cancel(0)
	for ; r.running > 0; r.running-- {
		if other := <-r.reports; other.returned {
			r.drop(other)
		}
	}
	if rep.panicked != nil {
		panic(rep.panicked)
	}
	runtime.Goexit()
}

// summary says how the call ended, by the result of the attempt that was taken.
func (r *race[T]) summary(res retry.Result) retry.Summary {
	s := retry.Summary{Result: res, Attempts: len(r.cancels)}
	if res.Outcome == resilience.OutcomeOK {
		return s
	}
	s.Reason = r.blocked
	wanted := s.Reason != retry.ReasonNotRetryable && s.Reason != retry.ReasonEnded
	if res.Err != nil && (s.Attempts > 1 || wanted) {
		s.Err = &resilience.AttemptsError{Attempts: s.Attempts, Reason: s.Reason, Last: res.Err}
	}
	return s
}
