// SPDX-License-Identifier: Apache-2.0

package ended_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

func TestOutcome(t *testing.T) {
	alive := context.Background()
	by := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(alive)
		cancel(cause)
		return ctx
	}
	past, cancel := context.WithDeadline(alive, time.Now().Add(-time.Second))
	defer cancel()
	own, cancel := context.WithDeadlineCause(alive, time.Now().Add(-time.Second), ctxutil.ErrTimeout)
	defer cancel()
	reset := errors.New("connection reset")

	for _, tc := range []struct {
		name string
		ctx  context.Context
		err  error
		want resilience.Outcome
	}{
		{"success", alive, nil, resilience.OutcomeOK},
		{"success of a canceled call", by(nil), nil, resilience.OutcomeOK},
		{"failure", alive, reset, resilience.OutcomeTransient},
		{"failure of a canceled call", by(nil), reset, resilience.OutcomeCanceled},
		{"failure after the caller's deadline", past, reset, resilience.OutcomeCallerDeadline},
		{"failure after our timeout", own, reset, resilience.OutcomeTimeout},
		{"canceled", by(nil), context.Canceled, resilience.OutcomeCanceled},
		{"caller's deadline", past, context.DeadlineExceeded, resilience.OutcomeCallerDeadline},
		{"our timeout", own, context.DeadlineExceeded, resilience.OutcomeTimeout},
		{"a deadline inside the call", alive, context.DeadlineExceeded, resilience.OutcomeTimeout},
		{"canceled inside the call", alive, context.Canceled, resilience.OutcomeCanceled},
		{"the cause in place of the error", alive, fmt.Errorf("get: %w", ctxutil.ErrTimeout), resilience.OutcomeTimeout},
		{"the caller's, as a cause", alive, ctxutil.ErrCallerDeadline, resilience.OutcomeCallerDeadline},
		{"the caller gave up, as a cause", alive, ctxutil.ErrCallerCanceled, resilience.OutcomeCanceled},
		{"hedge lost", by(ctxutil.ErrHedgeLost), context.Canceled, resilience.OutcomeCanceled},
		{"shutdown", alive, ctxutil.ErrShutdown, resilience.OutcomeCanceled},
		{"budget", alive, &ctxutil.BudgetError{}, resilience.OutcomeRejected},
		{"refused here", by(nil), fmt.Errorf("call: %w", &resilience.RejectedError{Policy: resilience.PolicyBulkhead}), resilience.OutcomeRejected},
		{"open there", alive, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Remote: true}, resilience.OutcomeTransient},
		{"limited there", alive, &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Remote: true}, resilience.OutcomeOverload},
		{"shed there", alive, &resilience.RejectedError{Policy: resilience.PolicyShed, Remote: true}, resilience.OutcomeOverload},
		{"no time there", alive, &resilience.RejectedError{Policy: resilience.PolicyDeadline, Remote: true}, resilience.OutcomeCallerDeadline},
		{"attempts", alive, &resilience.AttemptsError{Last: reset}, resilience.OutcomeTransient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ended.Outcome(tc.ctx, tc.err); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWaitingMatchesErrorAndCause(t *testing.T) {
	mine := errors.New("mine")
	for _, cause := range []error{nil, mine, ctxutil.ErrCallerCanceled} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		err := ended.Waiting(ctx, `bulkhead "a"`)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cause %v: %v does not match context.Canceled", cause, err)
		}
		if cause != nil && !errors.Is(err, cause) {
			t.Errorf("%v does not match its cause %v", err, cause)
		}
	}
}
