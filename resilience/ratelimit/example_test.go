// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// A server refuses what is too much, and says when to come back.
func ExampleLimiter_Allow() {
	l, err := ratelimit.New("orders", rate.Every(time.Minute), 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		err := l.Allow(context.Background())
		if refused, ok := errors.AsType[*resilience.RejectedError](err); ok {
			fmt.Println(refused.Reason, refused.RetryAfter.Round(time.Second))
			continue
		}
		fmt.Println("admitted")
	}
	// Output:
	// admitted
	// admitted
	// rate limited 1m0s
}

// A client keeps to what it may send to a third party by waiting.
func ExampleLimiter_Wait() {
	l, err := ratelimit.New("geocoder", 1000, 1, ratelimit.WithMaxWait(50*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	start := time.Now()
	for range 5 {
		if err := l.Wait(context.Background()); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(time.Since(start) >= 4*time.Millisecond)
	// Output: true
}

// A server takes no more than so many a second, and no more than so many at once.
func ExampleNewBoth() {
	perSecond, err := ratelimit.New("orders", 500, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	atOnce, err := ratelimit.NewConcurrency("orders", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	admission := ratelimit.NewBoth(perSecond, atOnce)
	permit, err := admission.Allow(context.Background())
	fmt.Println(err)
	_, err = admission.Allow(context.Background())
	fmt.Println(err)
	permit.Done()
	// Output:
	// <nil>
	// concurrency "orders": too many calls at once; retry after 100ms
}

func ExampleKeyed() {
	k, err := ratelimit.NewKeyed("orders", 1, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	get := ratelimit.Key{Client: "tenant-17", Method: "/shop.v1.Orders/Get"}
	fmt.Println(k.Allow(ctx, get))
	fmt.Println(errors.Is(k.Allow(ctx, get), resilience.ErrRateLimited))
	fmt.Println(k.Allow(ctx, ratelimit.Key{Client: "tenant-18", Method: get.Method}))
	// Output:
	// <nil>
	// true
	// <nil>
}
