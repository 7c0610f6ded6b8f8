// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// What applies to every service, what to one, and what to a method of it.
func Example() {
	set, err := policies.New(
		policies.WithDefaults(
			policies.Retry(retry.WithPerTryTimeout(500*time.Millisecond))),
		policies.WithService("payment",
			policies.Bulkhead(50),
			policies.Method("GET /charges/{id}", policies.Hedge()),
			policies.Method("POST /charges", policies.NoRetry())),
		policies.WithServer(
			policies.Concurrency(200)))
	if err != nil {
		fmt.Println(err)
		return
	}
	payment := set.Service("payment")
	for _, method := range payment.Methods() {
		c := payment.Method(method)
		fmt.Println(method, "retried:", c.Retry != nil, "hedged:", c.Hedge != nil, "same breaker:", c.Breaker == payment.Breaker())
	}
	fmt.Println("order has a bulkhead:", set.Service("order").Client().Bulkhead != nil)
	fmt.Println("at once:", set.Server().Concurrency.Snapshot().Max)
	// Output:
	// GET /charges/{id} retried: false hedged: true same breaker: true
	// POST /charges retried: false hedged: false same breaker: true
	// order has a bulkhead: false
	// at once: 200
}

// A call of a kind that has no adapter, here to a cache: it is tried twice, and then
// the breaker has seen enough.
func ExampleClient_Do() {
	set, err := policies.New(policies.WithService("cache",
		policies.Retry(retry.WithMaxAttempts(3), retry.WithBackoff(time.Millisecond, time.Millisecond)),
		policies.Breaker(breaker.WithMinCalls(2))))
	if err != nil {
		fmt.Println(err)
		return
	}
	get := func(context.Context) error { return errors.New("connection refused") }

	cache := set.Service("cache").Client()
	summary := cache.Do(context.Background(), func(ctx context.Context, a retry.Attempt) retry.Result {
		if err := get(ctx); err != nil {
			fmt.Println("attempt", a.Number, "of", a.Max, err)
			return retry.Result{Outcome: resilience.OutcomeTransient, Err: err}
		}
		return retry.Result{}
	})
	fmt.Println(summary.Outcome, summary.Attempts, errors.Is(summary.Err, resilience.ErrOpen))
	// Output:
	// attempt 1 of 3 connection refused
	// attempt 2 of 3 connection refused
	// rejected 3 true
}

// Everything that is wrong is said at once.
func ExampleNew_invalid() {
	_, err := policies.New(
		policies.WithDefaults(policies.Breaker(breaker.WithFailureRatio(50))),
		policies.WithService("payment",
			policies.RateLimit(100, 0),
			policies.Method("charges/{id}", policies.NoRetry()),
			policies.Method("/shop.Payment/Charge", policies.Retry(retry.WithRetryOn(resilience.OutcomeClientFault)))))
	fmt.Println(err)
	// Output:
	// policies: defaults: breaker: failure ratio 50: must be more than 0 and at most 1
	// policies: service "payment": ratelimit: burst 0: must be at least 1
	// policies: service "payment": method "charges/{id}": must be a gRPC method such as "/pkg.Service/Method", all methods of a gRPC service such as "/pkg.Service/", or an HTTP pattern such as "POST /charges/{id}"
	// policies: service "payment": method "/shop.Payment/Charge": retry: retry on client_fault: must be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again
}
