// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func ExampleDo() {
	policy, err := hedge.New("inventory", hedge.WithDelay(10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}

	reply, summary := hedge.Do(context.Background(), policy, func(ctx context.Context, a retry.Attempt) (string, retry.Result) {
		if a.Number == 1 { // an instance that hangs
			<-ctx.Done()
			fmt.Println("attempt 1:", context.Cause(ctx))
			return "", retry.Result{Outcome: resilience.OutcomeCanceled, Err: ctx.Err()}
		}
		return fmt.Sprintf("3 left, says attempt %d", a.Number), retry.Result{}
	}, nil)
	fmt.Println(reply)
	fmt.Println(summary.Attempts, "attempts,", summary.Err)
	// Output:
	// attempt 1: ctxutil: another attempt answered first
	// 3 left, says attempt 2
	// 2 attempts, <nil>
}

// Answers that hold something are given up by discard, and the one that was taken when
// it has been read.
func ExampleOpen() {
	policy, err := hedge.New("catalog", hedge.WithDelay(10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}

	type response struct{ attempt int } // with a body to close
	resp, _, release := hedge.Open(context.Background(), policy,
		func(ctx context.Context, a retry.Attempt) (*response, retry.Result) {
			if a.Number == 1 {
				<-ctx.Done() // too late by a moment: there is an answer all the same
			}
			return &response{a.Number}, retry.Result{}
		},
		func(lost *response) { fmt.Println("closed the response of attempt", lost.attempt) })
	defer release()
	fmt.Println("reading the response of attempt", resp.attempt)
	// Output:
	// closed the response of attempt 1
	// reading the response of attempt 2
}

// Retries and hedges to the same service are paid from one budget.
func ExampleWithBudget() {
	budget, err := retry.NewBudget(retry.WithShare(0.05))
	if err != nil {
		fmt.Println(err)
		return
	}
	retries, err := retry.New("inventory", retry.WithBudget(budget))
	if err != nil {
		fmt.Println(err)
		return
	}
	hedges, err := hedge.New("inventory", hedge.WithBudget(budget))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(retries.Budget() == hedges.Budget())
	// Output: true
}

func ExampleWithObserver() {
	policy, err := hedge.New("inventory", hedge.WithDelay(10*time.Millisecond), hedge.WithObserver(resilience.Observer{
		Attempted: func(_ context.Context, e resilience.Attempt) {
			fmt.Println(e.Policy, e.Name, "attempt", e.Number, "of", e.Max, e.Outcome, e.Err == ctxutil.ErrHedgeLost)
		},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}

	hedge.Do(context.Background(), policy, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
		if a.Number == 1 {
			<-ctx.Done()
		}
		return 0, retry.Result{}
	}, nil)
	// Output:
	// hedge inventory attempt 2 of 2 ok false
	// hedge inventory attempt 1 of 2 canceled true
}
