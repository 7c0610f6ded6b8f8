// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

var errDown = errors.New("connection refused")

// mustNew returns a policy whose waits are as long as they may be, so that tests can
// say exactly when something happens.
func mustNew(t testing.TB, opts ...retry.Option) *retry.Policy {
	t.Helper()
	p, err := retry.New("inventory", opts...)
	if err != nil {
		t.Fatal(err)
	}
	p.SetJitter(func(d time.Duration) time.Duration { return d })
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

// ended is the result of an attempt that ended with o.
func ended(o resilience.Outcome) retry.Result {
	if o == resilience.OutcomeOK {
		return retry.Result{}
	}
	return retry.Result{Outcome: o, Err: errDown}
}

// worth is such a result, of which the adapter says that it is worth another attempt.
func worth(o resilience.Outcome) retry.Result {
	return retry.Result{Outcome: o, Err: errDown, Retryable: true}
}

// script answers attempts with one result after the other, and notes when they came.
type script struct {
	results []retry.Result
	began   time.Time
	at      []time.Duration
}

func newScript(results ...retry.Result) *script {
	return &script{results: results, began: time.Now()}
}

func (s *script) attempt(_ context.Context, a retry.Attempt) retry.Result {
	s.at = append(s.at, time.Since(s.began))
	return s.results[min(a.Number, len(s.results))-1]
}

// attempts collects what an observer is told.
type attempts []resilience.Attempt

func (a *attempts) observer() resilience.Observer {
	return resilience.Observer{Attempted: func(_ context.Context, e resilience.Attempt) { *a = append(*a, e) }}
}
