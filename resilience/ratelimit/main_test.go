// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLimiter(t testing.TB, limit rate.Limit, burst int, opts ...ratelimit.LimiterOption) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New("orders", limit, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newConcurrency(t testing.TB, max int, opts ...ratelimit.ConcurrencyOption) *ratelimit.Concurrency {
	t.Helper()
	l, err := ratelimit.NewConcurrency("orders", max, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newKeyed(t testing.TB, limit rate.Limit, burst int, opts ...ratelimit.KeyedOption) *ratelimit.Keyed {
	t.Helper()
	k, err := ratelimit.NewKeyed("orders", limit, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// refusal wants err to be a refusal that matches sentinel.
func refusal(t testing.TB, err, sentinel error) *resilience.RejectedError {
	t.Helper()
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok || !errors.Is(err, sentinel) || e.Name != "orders" {
		t.Fatalf("got %v, want a refusal by orders that matches %v", err, sentinel)
	}
	return e
}

// counter counts refusals, and asks back as observers may.
func counter(n *int, ask func()) ratelimit.Option {
	return ratelimit.WithObserver(resilience.Observer{
		Rejected: func(context.Context, *resilience.RejectedError) { *n++; ask() },
	})
}

func TestBadValues(t *testing.T) {
	limiter := func(name string, limit rate.Limit, burst int, opts ...ratelimit.LimiterOption) error {
		_, err := ratelimit.New(name, limit, burst, opts...)
		return err
	}
	concurrency := func(name string, max int, opts ...ratelimit.ConcurrencyOption) error {
		_, err := ratelimit.NewConcurrency(name, max, opts...)
		return err
	}
	keyed := func(name string, limit rate.Limit, burst int, opts ...ratelimit.KeyedOption) error {
		_, err := ratelimit.NewKeyed(name, limit, burst, opts...)
		return err
	}
	good := newLimiter(t, 1, 1)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{limiter("", 1, 1), `name "": must not be empty`},
		{limiter("a", 0, 1), "limit 0: must be more than 0 events per second, or rate.Inf"},
		{limiter("a", -1, 1), "limit -1: must be more than 0 events per second, or rate.Inf"},
		{limiter("a", rate.Limit(math.NaN()), 1), "limit NaN: must be more than 0 events per second, or rate.Inf"},
		{limiter("a", rate.Limit(math.Inf(1)), 1), "limit +Inf: must be more than 0 events per second, or rate.Inf"},
		{limiter("a", 1, 0), "burst 0: must be at least 1"},
		{limiter("a", 1, 1, ratelimit.WithMaxWait(0)), "max wait 0s: must be positive"},
		{limiter("a", 1, 1, ratelimit.WithoutMaxWait(), ratelimit.WithMaxWait(-1)), "max wait -1ns: must be positive"},
		{good.SetLimit(0, 1), "limit 0: must be more than 0 events per second, or rate.Inf"},
		{good.SetLimit(1, -1), "burst -1: must be at least 1"},
		{concurrency("", 1), `name "": must not be empty`},
		{concurrency("a", 0), "max 0: must be at least 1"},
		{concurrency("a", 1, ratelimit.WithQueue(-1, time.Second)), "queue -1: must not be negative"},
		{concurrency("a", 1, ratelimit.WithQueue(1, 0)), "queue wait 0s: must be positive"},
		{concurrency("a", 1, ratelimit.WithRetryAfter(-1)), "retry-after -1ns: must not be negative"},
		{keyed("", 1, 1), `name "": must not be empty`},
		{keyed("a", 0, 1), "limit 0: must be more than 0 events per second, or rate.Inf"},
		{keyed("a", 1, 1, ratelimit.WithMaxKeys(0)), "max keys 0: must be at least 1"},
		{keyed("a", -1, -1), "limit -1: must be more than 0 events per second, or rate.Inf\nratelimit: burst -1: must be at least 1"},
	} {
		if tc.err == nil || tc.err.Error() != "ratelimit: "+tc.want {
			t.Errorf("got %v, want ratelimit: %s", tc.err, tc.want)
		}
	}
	if err := limiter("a", 1, 1, ratelimit.WithMaxWait(-1), ratelimit.WithoutMaxWait()); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
