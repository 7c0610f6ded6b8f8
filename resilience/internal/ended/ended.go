// SPDX-License-Identifier: Apache-2.0

package ended

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
)

// Outcome returns how a call ended that was made with ctx and returned err.
//
//   - A refusal by a policy of this process is rejected, one that came over the
//     wire is the overload or the transient fault that it reports.
//   - An error of a context is whose doing it was: by a cause of ctxutil inside
//     err, else by [ctxutil.EndedBy]. While ctx is alive, a deadline was one that
//     the call set itself.
//   - Any other error is put down to the end of ctx if that has ended, because not
//     every library wraps the context's error, and is a transient fault otherwise.
func Outcome(ctx context.Context, err error) resilience.Outcome {
	if err == nil {
		return resilience.OutcomeOK
	}
	if refused, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return refusal(refused)
	}
	switch {
	case errors.Is(err, resilience.ErrBudgetExhausted):
		return resilience.OutcomeRejected
	case errors.Is(err, ctxutil.ErrTimeout):
		return resilience.OutcomeTimeout
	case errors.Is(err, ctxutil.ErrCallerDeadline):
		return resilience.OutcomeCallerDeadline
	case errors.Is(err, ctxutil.ErrCallerCanceled),
		errors.Is(err, ctxutil.ErrHedgeLost),
		errors.Is(err, ctxutil.ErrShutdown):
		return resilience.OutcomeCanceled
	}
	if outcome := By(ctx); outcome != resilience.OutcomeOK {
		return outcome
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return resilience.OutcomeTimeout
	case errors.Is(err, context.Canceled):
		return resilience.OutcomeCanceled
	default:
		return resilience.OutcomeTransient
	}
}

// By returns what the end of ctx means for a call that was made with it, and
// [resilience.OutcomeOK] while ctx is alive.
func By(ctx context.Context) resilience.Outcome {
	switch ctxutil.EndedBy(ctx) {
	case ctxutil.EndNone:
		return resilience.OutcomeOK
	case ctxutil.EndTimeout:
		return resilience.OutcomeTimeout
	case ctxutil.EndCallerDeadline:
		return resilience.OutcomeCallerDeadline
	default:
		return resilience.OutcomeCanceled
	}
}

// Waiting returns the error of a call whose context ended while it waited for
// what, such as `bulkhead "payments"`. It matches both the context's error and
// its cause.
func Waiting(ctx context.Context, what string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("%s: gave up waiting: %w", what, cause)
	}
	return fmt.Errorf("%s: gave up waiting: %w: %w", what, err, cause)
}

// refusal returns what a refusal means where it arrives.
func refusal(e *resilience.RejectedError) resilience.Outcome {
	switch {
	case !e.Remote:
		return resilience.OutcomeRejected
	case errors.Is(e, resilience.ErrRateLimited), errors.Is(e, resilience.ErrOverloaded):
		return resilience.OutcomeOverload
	case errors.Is(e, resilience.ErrBudgetExhausted):
		return resilience.OutcomeCallerDeadline
	default:
		return resilience.OutcomeTransient
	}
}
