// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func Example() {
	policy, err := retry.New("inventory", retry.WithBackoff(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}

	// An adapter calls the service and says how that ended.
	summary := policy.Do(context.Background(), func(_ context.Context, a retry.Attempt) retry.Result {
		fmt.Printf("attempt %d of %d\n", a.Number, a.Max)
		if a.Number == 1 {
			return retry.Result{Outcome: resilience.OutcomeTransient, Err: errors.New("connection refused")}
		}
		return retry.Result{}
	})
	fmt.Println(summary.Attempts, summary.Err)
	// Output:
	// attempt 1 of 3
	// attempt 2 of 3
	// 2 <nil>
}

// The error of a call that was retried in vain is that of its last attempt.
func ExamplePolicy_Do_failure() {
	policy, err := retry.New("inventory", retry.WithMaxAttempts(2), retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}

	errRefused := errors.New("connection refused")
	summary := policy.Do(context.Background(), func(context.Context, retry.Attempt) retry.Result {
		return retry.Result{Outcome: resilience.OutcomeTransient, Err: errRefused}
	})
	fmt.Println(summary.Err)
	fmt.Println(errors.Is(summary.Err, errRefused), errors.Is(summary.Err, resilience.ErrAttemptsExhausted))
	// Output:
	// attempts exhausted after 2 attempts: connection refused
	// true true
}

// The time limit of an attempt is not one of reading its answer.
func ExamplePolicy_Open() {
	policy, err := retry.New("catalog", retry.WithPerTryTimeout(time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}

	var body context.Context
	summary, release := policy.Open(context.Background(), func(ctx context.Context, _ retry.Attempt) retry.Result {
		body = ctx // as the body of a response does
		return retry.Result{}
	})
	fmt.Println("answered after", summary.Attempts, "attempt; the body is", body.Err())
	release() // when the body is closed
	fmt.Println("the body is", body.Err())
	// Output:
	// answered after 1 attempt; the body is <nil>
	// the body is context canceled
}

// Adapters that own the loop ask what comes next.
func ExampleRun() {
	policy, err := retry.New("prices", retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}

	run := policy.Start(context.Background())
	for {
		_, limit := run.Begin()
		// The stream breaks before its first message, and has been written to.
		_, again, reason := run.Next(retry.Result{
			Outcome: resilience.OutcomeTransient,
			Err:     errors.New("stream reset"),
			Veto:    retry.ReasonNotReplayable,
		})
		limit.End()
		if !again {
			fmt.Println(reason)
			break
		}
	}
	fmt.Println(run.Summary().Err)
	// Output:
	// not replayable
	// not replayable after 1 attempts: stream reset
}

// One budget is shared by whatever retries calls to the same service.
func ExampleBudget() {
	budget, err := retry.NewBudget(retry.WithShare(0.2), retry.WithFloor(0), retry.WithWindow(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 10 {
		budget.Deposit() // policies do this for each call
	}
	fmt.Println(budget.Remaining())
	fmt.Println(budget.Withdraw(), budget.Withdraw(), budget.Withdraw()) // and this for each retry
	// Output:
	// 2
	// true true false
}

// A request that is being retried further up is not retried here as well.
func ExampleWithPreviousAttempts() {
	policy, err := retry.New("inventory")
	if err != nil {
		fmt.Println(err)
		return
	}

	// A server's adapter puts into the context what came with the request.
	ctx := retry.WithPreviousAttempts(context.Background(), 1)
	summary := policy.Do(ctx, func(context.Context, retry.Attempt) retry.Result {
		return retry.Result{Outcome: resilience.OutcomeTransient, Err: errors.New("connection refused")}
	})
	fmt.Println(summary.Err)
	// Output: nested retry after 1 attempts: connection refused
}

// What stands against a retry is an answer, too: push-back.
func ExampleDoNotRetry() {
	err := &resilience.AttemptsError{Attempts: 3, Reason: retry.ReasonExhausted, Last: errors.New("connection refused")}
	if retry.DoNotRetry(err) {
		fmt.Println("grpc-retry-pushback-ms: -1")
	}
	// Output: grpc-retry-pushback-ms: -1
}

func ExampleNew_invalid() {
	_, err := retry.New("inventory",
		retry.WithRetryOn(resilience.OutcomeClientFault),
		retry.WithBackoff(0, time.Second))
	fmt.Println(err)
	// Output:
	// retry "inventory": backoff base 0s: must be positive: attempts need a backoff
	// retry "inventory": retry on client_fault: must be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again
}

func ExampleParseRetryAfter() {
	now := time.Date(2026, time.November, 21, 11, 0, 0, 0, time.UTC)
	for _, value := range []string{"120", "Sat, 21 Nov 2026 11:00:30 GMT", "Sat, 21 Nov 2026 10:00:00 GMT", "soon"} {
		fmt.Println(retry.ParseRetryAfter(value, now))
	}
	// Output:
	// 2m0s true
	// 30s true
	// 0s true
	// 0s false
}

func ExampleParsePushback() {
	for _, ms := range []string{"250", "-1", "soon"} {
		fmt.Println(retry.ParsePushback(ms))
	}
	// Output:
	// 250ms true true
	// 0s false true
	// 0s false false
}
