// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// trip makes a breaker trip by failures that were told to wait for so long.
func trip(t *testing.T, b *breaker.Breaker, retryAfter ...time.Duration) {
	t.Helper()
	for _, d := range retryAfter {
		lease := allow(t, b)
		lease.Done(t.Context(), overload, 0, d)
	}
	wantState(t, b, open)
}

func TestOpensForAsLongAsAsked(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name  string
		asked []time.Duration
		want  time.Duration
	}{
		{"not at all", []time.Duration{0, 0, 0, 0}, 5 * s},
		{"for longer", []time.Duration{0, 0, 0, 20 * s}, 20 * s},
		{"for less", []time.Duration{0, 0, 0, 3 * s}, 3 * s},
		{"for less than the least", []time.Duration{0, 0, 0, 2}, 2 * s},
		{"for more than the most", []time.Duration{0, 0, 0, time.Hour}, 30 * s},
		{"for ever", []time.Duration{0, 0, 0, math.MaxInt64}, 30 * s},
		{"for a negative time", []time.Duration{-s, -s, -s, -s}, 5 * s},
		{"by another call", []time.Duration{20 * s, 0, 0, 0}, 20 * s},
		{"for less by another call", []time.Duration{3 * s, 0, 0, 0}, 5 * s},
		{"by several", []time.Duration{10 * s, 25 * s, 0, 3 * s}, 25 * s},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.WithRetryAfterBounds(2*s, 30*s))
				trip(t, b, tc.asked...)
				if got := refused(t, b).RetryAfter; got != tc.want {
					t.Errorf("open for %v, want %v", got, tc.want)
				}
				time.Sleep(tc.want - 1)
				wantState(t, b, open)
				time.Sleep(1)
				wantState(t, b, halfOpen)
			})
		})
	}
}

func TestWhatWasAskedGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		lease := allow(t, b)
		lease.Done(t.Context(), overload, 0, 9*time.Second)
		time.Sleep(2 * time.Second)
		trip(t, b, 0, 0, 0)
		if got := refused(t, b).RetryAfter; got != 7*time.Second {
			t.Errorf("open for %v, want what is left: 7s", got)
		}
	})
}

func TestSuccessesAskForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		lease := allow(t, b)
		lease.Done(t.Context(), ok, 0, time.Minute)
		trip(t, b, 0, 0, 0)
		if got := refused(t, b).RetryAfter; got != 5*time.Second {
			t.Errorf("open for %v, want 5s", got)
		}
	})
}

// Of calls sent together, the one that trips the breaker need not be the one that
// was told how long to wait.
func TestLateAnswersProlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		a, c, d := allow(t, b), allow(t, b), allow(t, b)
		trip(t, b, 0, 0, 0, 0)
		time.Sleep(time.Second)
		a.Done(t.Context(), overload, 0, 10*time.Second)
		if got := refused(t, b).RetryAfter; got != 10*time.Second {
			t.Errorf("open for %v, want 10s", got)
		}
		c.Done(t.Context(), overload, 0, 2*time.Second) // does not shorten
		d.Done(t.Context(), clientFault, 0, time.Minute)
		if got := refused(t, b).RetryAfter; got != 10*time.Second {
			t.Errorf("open for %v, want 10s", got)
		}
	})
}

func TestProbeIsToldToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		trip(t, b, 0, 0, 0, 0)
		time.Sleep(5 * time.Second)
		trip(t, b, 40*time.Second)
		if got := refused(t, b).RetryAfter; got != 40*time.Second {
			t.Errorf("open for %v, want 40s", got)
		}
	})
}

func TestJitterStretches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 100 {
			b := newBreaker(t, breaker.WithJitter(0.2))
			trip(t, b, 0, 0, 0, 0)
			d := refused(t, b).RetryAfter
			if d < 5*time.Second || d > 6*time.Second {
				t.Fatalf("open for %v, want 5s to 6s", d)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("%d different open times of 100", len(seen))
		}
	})
}

func TestSlowCallsTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithSlowCalls(time.Second, 0.5))
		took := func(n int, d time.Duration) {
			for range n {
				lease := allow(t, b)
				lease.Done(t.Context(), ok, d, 0)
			}
		}
		took(3, time.Second-1)
		took(2, time.Second)
		call(t, b, 10, canceled) // do not count
		wantState(t, b, closed)
		if s := b.Snapshot(); s.Slow != 2 {
			t.Errorf("%d slow calls, want 2", s.Slow)
		}
		took(1, time.Minute)
		wantState(t, b, open)
		if got, want := b.Snapshot().LastTrip.Reason, "slow call ratio 0.50 of 6 calls, 1s or longer"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}

		time.Sleep(5 * time.Second)
		call(t, b, 2, ok)
		wantState(t, b, closed)
		if s := b.Snapshot(); s.Slow != 0 {
			t.Errorf("%d slow calls after closing, want 0", s.Slow)
		}
		call(t, b, 1, transient)
		took(2, time.Minute)
		wantState(t, b, closed) // a new window
	})
}

func TestSlowWindowSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithSlowCalls(time.Second, 0.5), breaker.WithWindow(10*time.Second))
		slow := func(n int) {
			for range n {
				lease := allow(t, b)
				lease.Done(t.Context(), ok, time.Second, 0)
			}
		}
		for _, gap := range []time.Duration{10 * time.Second, 25 * time.Second, time.Hour} {
			slow(3)
			time.Sleep(gap)
			if s := b.Snapshot(); s.Slow != 0 {
				t.Errorf("%d slow calls after %v, want 0", s.Slow, gap)
			}
		}
		slow(2)
		time.Sleep(9 * time.Second)
		slow(1)
		if s := b.Snapshot(); s.Slow != 3 {
			t.Errorf("%d slow calls, want 3", s.Slow)
		}
		time.Sleep(time.Second)
		if s := b.Snapshot(); s.Slow != 1 {
			t.Errorf("%d slow calls, want 1", s.Slow)
		}
	})
}

func TestSlowFailuresNeedNoSecondReason(t *testing.T) {
	b := newBreaker(t, breaker.WithSlowCalls(time.Second, 1), breaker.WithFailureRatio(0.5))
	for range 2 {
		lease := allow(t, b)
		lease.Done(t.Context(), ok, 0, 0)
	}
	for range 2 {
		lease := allow(t, b)
		lease.Done(t.Context(), transient, time.Minute, 0)
	}
	wantState(t, b, open)
	if got, want := b.Snapshot().LastTrip.Reason, "failure ratio 0.50 of 4 calls"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}
