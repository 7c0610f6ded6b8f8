// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

func Example() {
	server, err := miniredis.Run() // any Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redislimit.NewClient(redis.UniversalOptions{Addrs: []string{server.Addr()}})
	defer client.Close()

	// Two calls a minute for each client and method. Two processes share the count.
	ctx, key := context.Background(), ratelimit.Key{Client: "acme", Method: "/orders.Orders/Get"}
	for _, process := range []string{"first", "second"} {
		limiter, err := redislimit.New("orders", client, 2, redislimit.WithLocal(10, 10), redislimit.WithTimeout(time.Second))
		if err != nil {
			fmt.Println(err)
			return
		}
		for range 2 {
			err = limiter.Allow(ctx, key)
			fmt.Println(process, err == nil, errors.Is(err, resilience.ErrRateLimited))
			if process == "second" {
				break
			}
		}
	}
	// Output:
	// first true false
	// first true false
	// second false true
}

// Without Redis, the token bucket of the process decides, and an observer is told.
func Example_redisAway() {
	client := redislimit.NewClient(redis.UniversalOptions{Addrs: []string{"127.0.0.1:1"}})
	defer client.Close()
	limiter, err := redislimit.New("orders", client, 600,
		redislimit.WithLocal(10, 5), // a second, and at once
		redislimit.WithTimeout(time.Second),
		redislimit.WithObserver(resilience.Observer{Degraded: func(_ context.Context, e resilience.Degradation) {
			fmt.Printf("%s %q goes on without Redis: %v\n", e.Policy, e.Name, !e.Since.IsZero())
		}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 6 {
		err := limiter.Allow(context.Background(), ratelimit.Key{Client: "acme"})
		fmt.Println(i+1, err == nil)
	}
	fmt.Println("away:", limiter.Snapshot().Away)
	// Output:
	// 1 true
	// 2 true
	// rate_limit "orders" goes on without Redis: true
	// 3 true
	// 4 true
	// 5 true
	// 6 false
	// away: true
}

func ExampleNew_badValue() {
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	_, err := redislimit.New("orders", client, 600, redislimit.WithBatch(1000, time.Second))
	fmt.Println(err)
	// Output:
	// redislimit: batch 1000: must be from 1 to the limit, 600
	// redislimit: client ContextTimeoutEnabled false: must be true, or a Redis that hangs holds calls for its ReadTimeout; NewClient sets it
}
