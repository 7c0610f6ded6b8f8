// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// The default classifier takes an error that it does not know for a transient
// fault.
func ExampleBreaker_Do() {
	b, err := breaker.New("payment", breaker.WithMinCalls(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 4 {
		err := b.Do(ctx, func(context.Context) error { return errors.New("connection refused") })
		fmt.Println(errors.Is(err, gobreaker.ErrOpenState), b.State())
	}
	// Output:
	// false closed
	// false closed
	// false open
	// true open
}

// What a transport does: it knows the outcome, the time it took, and how long the
// server asked it to stay away.
func ExampleBreaker_Allow() {
	b, err := breaker.New("payment", breaker.WithMinCalls(1), breaker.WithJitter(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	send := func() error {
		lease, err := b.Allow(ctx)
		if err != nil {
			return err
		}
		defer lease.Release() // does nothing once it is reported
		start := time.Now()
		// … 429 Too Many Requests, Retry-After: 20
		lease.Done(ctx, resilience.OutcomeOverload, time.Since(start), 20*time.Second)
		return nil
	}
	fmt.Println(send())
	refused, _ := errors.AsType[*resilience.RejectedError](send())
	fmt.Println(refused.Policy, refused.Name, refused.Reason, refused.RetryAfter.Round(time.Second))
	// Output:
	// <nil>
	// breaker payment open 20s
}

func ExampleWithObserver() {
	b, err := breaker.New("payment", breaker.WithMinCalls(2), breaker.WithJitter(0),
		breaker.WithObserver(resilience.Observer{
			StateChanged: func(_ context.Context, e resilience.StateChange) {
				fmt.Printf("%s: %v to %v, %s, open for %v\n", e.Name, e.From, e.To, e.Reason, e.OpenFor)
			},
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		lease, _ := b.Allow(context.Background())
		lease.Done(context.Background(), resilience.OutcomeTransient, 0, 0)
	}
	// Output: payment: closed to open, failure ratio 1.00 of 2 calls, open for 5s
}

func ExampleBreaker_ForceOpen() {
	b, err := breaker.New("payment")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	call := func(context.Context) error { return nil }

	b.ForceOpen(ctx) // payment is being moved
	fmt.Println(b.Do(ctx, call))
	b.Reset(ctx)
	fmt.Println(b.Do(ctx, call))
	// Output:
	// breaker "payment": forced open
	// <nil>
}

// One registry belongs to all clients of a process; a service may differ from the
// rest.
func ExampleRegistry() {
	breakers, err := breaker.NewRegistry(
		breaker.WithOpenTime(10*time.Second),
		breaker.WithService("payment", breaker.WithFailureRatio(0.2)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(breakers.For("payment") == breakers.For("payment"))
	breakers.For("stock").ForceOpen(context.Background())
	for _, s := range breakers.Snapshot() {
		fmt.Println(s.Name, s.State, s.Forced)
	}
	// Output:
	// true
	// payment closed false
	// stock open true
}
