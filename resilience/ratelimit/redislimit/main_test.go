// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(processEnv); addr != "" {
		process(addr)
		os.Exit(0)
	}
	redis.SetLogger(&logging.VoidLogger{}) // it has a lot to say about servers that are killed
	goleak.VerifyTestMain(m)
}

// key is the key that tests use which need only one.
var key = ratelimit.Key{Client: "acme", Method: "/orders.Orders/Get"}

// unlimited is a token bucket that never refuses, so that only the window decides.
var unlimited = redislimit.WithLocal(1e9, 1e9)

// bubble returns a Redis within the bubble of a test, whose time is the bubble's.
func bubble(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(m.Close)
	return m
}

// dial returns a client of m, without a network.
func dial(t testing.TB, m *miniredis.Miniredis) redis.UniversalClient {
	t.Helper()
	c := redislimit.NewClient(redis.UniversalOptions{
		Addrs:  []string{"127.0.0.1:1"}, // not looked up
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newLimiter(t testing.TB, c redis.Scripter, limit int, opts ...redislimit.Option) *redislimit.Limiter {
	t.Helper()
	l, err := redislimit.New("orders", c, limit, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// refused returns how a call was refused, or nil if it was not.
func refused(t testing.TB, err error) *resilience.RejectedError {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok || !errors.Is(err, resilience.ErrRateLimited) || e.Policy != resilience.PolicyRateLimit || e.Name != "orders" || e.RetryAfter <= 0 {
		t.Fatalf("refused with %T %+v", err, err)
	}
	return e
}

// mostIn returns the largest number of times within any window of that length, its
// end included.
func mostIn(window time.Duration, times []time.Time) int {
	slices.SortFunc(times, time.Time.Compare)
	most, first := 0, 0
	for i, t := range times {
		for t.Sub(times[first]) > window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
