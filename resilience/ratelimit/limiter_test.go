// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

func TestAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		var l *ratelimit.Limiter
		l = newLimiter(t, 10, 3, counter(&told, func() { _ = l.Snapshot() }))
		for range 3 {
			if err := l.Allow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		e := refusal(t, l.Allow(t.Context()), resilience.ErrRateLimited)
		want := &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Name: "orders", Reason: "rate limited", RetryAfter: 100 * time.Millisecond}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}
		if got, want := e.Error(), `rate_limit "orders": rate limited; retry after 100ms`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(30 * time.Millisecond)
		if e := refusal(t, l.Allow(t.Context()), resilience.ErrRateLimited); e.RetryAfter != 70*time.Millisecond {
			t.Errorf("retry after %v, want 70ms", e.RetryAfter)
		}
		time.Sleep(70 * time.Millisecond)
		if err := l.Allow(t.Context()); err != nil {
			t.Error(err)
		}
		if told != 2 {
			t.Errorf("told of %d refusals, want 2", told)
		}
	})
}

// Who comes back when told to is admitted, and not admitted much earlier.
func TestRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			limit := rate.Limit(random.ExpFloat64() * 50)
			l := newLimiter(t, limit, 1+random.IntN(5))
			for range 20 {
				err := l.Allow(t.Context())
				if err == nil {
					continue
				}
				after := refusal(t, err, resilience.ErrRateLimited).RetryAfter
				time.Sleep(after - after/100)
				if after > time.Millisecond && l.Allow(t.Context()) == nil {
					t.Fatalf("limit %v: admitted before %v", limit, after)
				}
				time.Sleep(after / 100)
				if err := l.Allow(t.Context()); err != nil {
					t.Fatalf("limit %v: after %v: %v", limit, after, err)
				}
				time.Sleep(time.Duration(random.Int64N(int64(after))))
			}
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, 10, 1)
		start := time.Now()
		for i := range 5 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if d, want := time.Since(start), time.Duration(i)*100*time.Millisecond; d != want {
				t.Errorf("call %d after %v, want %v", i, d, want)
			}
		}
	})
}

func TestWaitRefusesWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		l := newLimiter(t, 10, 1, counter(&told, func() {}), ratelimit.WithMaxWait(250*time.Millisecond))
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := l.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // now, in 100 ms, in 200 ms
		if e := refusal(t, l.Wait(t.Context()), resilience.ErrRateLimited); e.RetryAfter != 300*time.Millisecond {
			t.Errorf("retry after %v, want 300ms", e.RetryAfter)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		refusal(t, l.Wait(ctx), resilience.ErrRateLimited)
		if d := time.Since(start); d != 0 {
			t.Errorf("refused after %v, want at once", d)
		}
		if told != 2 {
			t.Errorf("told of %d refusals, want 2", told)
		}
		wg.Wait()
		if err := l.Wait(t.Context()); err != nil { // the refused took nothing
			t.Error(err)
		}
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("admitted after %v, want 300ms", d)
		}
	})
}

func TestWaitWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, rate.Every(time.Hour), 1, ratelimit.WithoutMaxWait())
		start := time.Now()
		for range 3 {
			if err := l.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 2*time.Hour {
			t.Errorf("waited %v, want 2h", d)
		}
	})
}

func TestCanceledWaitGivesTheTokenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		l := newLimiter(t, 1, 1, counter(&told, func() {}))
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			time.Sleep(400 * time.Millisecond)
			cancel(ctxutil.ErrCallerCanceled)
		}()
		err := l.Wait(ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ctxutil.ErrCallerCanceled) || errors.Is(err, resilience.ErrRateLimited) {
			t.Errorf("got %v, want the caller's cancellation", err)
		}
		if told != 0 {
			t.Errorf("told of %d refusals, want none", told)
		}
		start := time.Now()
		if err := l.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 600*time.Millisecond {
			t.Errorf("the next waited %v, want 600ms", d)
		}
	})
}

func TestSetLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, 10, 1)
		if err := l.SetLimit(2, 5); err != nil {
			t.Fatal(err)
		}
		if err := l.Allow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := refusal(t, l.Allow(t.Context()), resilience.ErrRateLimited); e.RetryAfter != 500*time.Millisecond {
			t.Errorf("retry after %v, want 500ms", e.RetryAfter)
		}
		time.Sleep(time.Minute)
		want := ratelimit.LimiterSnapshot{Name: "orders", Limit: 2, Burst: 5, Tokens: 5}
		if diff := cmp.Diff(want, l.Snapshot()); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
	})
}

func TestUnlimited(t *testing.T) {
	l := newLimiter(t, rate.Inf, 1)
	for range 1000 {
		if err := l.Allow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// In any second there are no more calls than the limit and the burst, whoever asks.
func TestRateUnderContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, 100, 10)
		var mu sync.Mutex
		admitted := 0
		var wg sync.WaitGroup
		end := time.Now().Add(10 * time.Second)
		for i := range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					if l.Allow(t.Context()) == nil {
						mu.Lock()
						admitted++
						mu.Unlock()
					}
					time.Sleep(time.Duration(7+i) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if admitted < 1000 || admitted > 1010 {
			t.Errorf("%d calls in 10s, want 1000 to 1010", admitted)
		}
	})
}
