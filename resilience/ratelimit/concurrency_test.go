// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		var l *ratelimit.Concurrency
		l = newConcurrency(t, 1, counter(&told, func() { _ = l.Snapshot() }),
			ratelimit.WithQueue(1, 50*time.Millisecond), ratelimit.WithRetryAfter(time.Second))
		ctx := t.Context()
		held, err := l.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		e := refusal(t, func() error { _, err := l.Allow(ctx); return err }(), resilience.ErrOverloaded)
		if e.Policy != resilience.PolicyConcurrency || e.Reason != "no slot in time" || e.RetryAfter != time.Second {
			t.Errorf("refusal %+v", e)
		}
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("waited %v, want 50ms", d)
		}

		served := make(chan error, 1)
		go func() {
			permit, err := l.Allow(ctx)
			served <- err
			permit.Done()
		}()
		synctest.Wait()
		want := ratelimit.ConcurrencySnapshot{Name: "orders", InFlight: 1, Max: 1, Queued: 1, MaxQueue: 1}
		if diff := cmp.Diff(want, l.Snapshot()); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
		_, err = l.Allow(ctx)
		if e := refusal(t, err, resilience.ErrOverloaded); e.Reason != "too many calls at once" {
			t.Errorf("refusal %+v", e)
		}
		held.Done()
		held.Done()
		if err := <-served; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s := l.Snapshot(); s.InFlight != 0 || s.Queued != 0 {
			t.Errorf("snapshot %+v, want nothing in flight", s)
		}
		if told != 2 {
			t.Errorf("told of %d refusals, want 2", told)
		}
	})
}

func TestConcurrencyEndsWithTheContext(t *testing.T) {
	l := newConcurrency(t, 1, ratelimit.WithQueue(1, time.Minute))
	held, err := l.Allow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.Allow(ctx)
	if got, want := err.Error(), `concurrency limit "orders": gave up waiting: context canceled`; got != want || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// REQ-R5: both must pass.
func TestBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := newLimiter(t, 1, 3)
		c := newConcurrency(t, 2)
		both := ratelimit.NewBoth(r, c)
		first, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}

		_, err = both.Allow(ctx)
		refusal(t, err, resilience.ErrOverloaded)
		if got := r.Snapshot().Tokens; got != 1 {
			t.Errorf("%v tokens after a refusal for want of a slot, want 1", got)
		}
		second.Done()
		third, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		first.Done()

		_, err = both.Allow(ctx) // a slot, but no token
		if e := refusal(t, err, resilience.ErrRateLimited); e.RetryAfter != time.Second {
			t.Errorf("retry after %v, want 1s", e.RetryAfter)
		}
		if got := c.Snapshot().InFlight; got != 1 {
			t.Errorf("%d in flight after a refusal for want of a token, want 1", got)
		}
		time.Sleep(time.Second)
		fourth, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		third.Done()
		fourth.Done()
		if got := c.Snapshot().InFlight; got != 0 {
			t.Errorf("%d in flight, want 0", got)
		}
	})
}

func TestBothDoesNotQueueForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		both := ratelimit.NewBoth(newLimiter(t, rate.Every(time.Minute), 1), newConcurrency(t, 1, ratelimit.WithQueue(1, time.Second)))
		held, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = both.Allow(ctx)
		if e := refusal(t, err, resilience.ErrRateLimited); e.RetryAfter != time.Minute {
			t.Errorf("retry after %v, want 1m", e.RetryAfter)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("refused after %v, want at once", d)
		}
		held.Done()
	})
}

func TestBothWithoutARateQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		r := newLimiter(t, 1, 1)
		both := ratelimit.NewBoth(r, newConcurrency(t, 1, ratelimit.WithQueue(1, time.Second)))
		held, err := both.Allow(ctx) // the only token
		if err != nil {
			t.Fatal(err)
		}
		if err := r.SetLimit(rate.Inf, 1); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Millisecond)
			held.Done()
		}()
		next, err := both.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		next.Done()
	})
}

func TestBothQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		for _, tokens := range []int{2, 3} {
			r, c := newLimiter(t, rate.Every(time.Minute), tokens), newConcurrency(t, 1, ratelimit.WithQueue(2, time.Second))
			both := ratelimit.NewBoth(r, c)
			held, err := both.Allow(ctx)
			if err != nil {
				t.Fatal(err)
			}
			errs := make(chan error, 2)
			for range 2 {
				go func() {
					permit, err := both.Allow(ctx)
					errs <- err
					permit.Done()
				}()
			}
			synctest.Wait()
			if q := c.Snapshot().Queued; q != 2 {
				t.Errorf("%d queued, want 2", q)
			}
			held.Done()
			if err := errors.Join(<-errs, <-errs); (err == nil) != (tokens == 3) {
				t.Errorf("%d tokens: got %v", tokens, err)
			}
			synctest.Wait()
			if n := c.Snapshot().InFlight; n != 0 {
				t.Errorf("%d in flight, want 0", n)
			}
		}
	})
}
