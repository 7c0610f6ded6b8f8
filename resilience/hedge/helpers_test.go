// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

const ms = time.Millisecond

var errDown = errors.New("connection refused")

func mustNew(t testing.TB, opts ...hedge.Option) *hedge.Policy {
	t.Helper()
	p, err := hedge.New("inventory", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustBudget(t testing.TB, opts ...retry.BudgetOption) *retry.Budget {
	t.Helper()
	b, err := retry.NewBudget(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// step is what an attempt does: it takes a while and ends so, unless its context ends
// before that.
type step struct {
	takes time.Duration
	ends  retry.Result
}

func answers(after time.Duration) step { return step{takes: after} }

func fails(after time.Duration, o resilience.Outcome) step {
	return step{takes: after, ends: retry.Result{Outcome: o, Err: errDown}}
}

// worth is a failure of which the adapter says that it is worth another attempt.
func worth(o resilience.Outcome) retry.Result {
	return retry.Result{Outcome: o, Err: errDown, Retryable: true}
}

// service does as it is told, attempt by attempt.
type service struct {
	steps []step
	began time.Time
	at    []time.Duration // when each attempt was sent; from the attempts one by one
	ended []error         // with which cause each attempt's context ended while it ran
}

func newService(steps ...step) *service {
	return &service{steps: steps, began: time.Now(), at: make([]time.Duration, len(steps)), ended: make([]error, len(steps))}
}

// call returns the attempt's number as its value.
func (s *service) call(ctx context.Context, a retry.Attempt) (int, retry.Result) {
	i := a.Number - 1
	s.at[i] = time.Since(s.began)
	select {
	case <-time.After(s.steps[i].takes):
		return a.Number, s.steps[i].ends
	case <-ctx.Done():
		s.ended[i] = context.Cause(ctx)
		return a.Number, retry.Result{Outcome: resilience.OutcomeCanceled, Err: ctx.Err()}
	}
}

// attempts collects what an observer is told.
type attempts []resilience.Attempt

func (a *attempts) observer() resilience.Observer {
	return resilience.Observer{Attempted: func(_ context.Context, e resilience.Attempt) { *a = append(*a, e) }}
}
