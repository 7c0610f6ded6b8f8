// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func TestOpensHalfOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 3, transient)
		wantState(t, b, closed) // too few calls
		call(t, b, 1, transient)
		wantState(t, b, open)

		time.Sleep(2 * time.Second)
		want := &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "payment", Reason: "open", RetryAfter: 3 * time.Second}
		if diff := cmp.Diff(want, refused(t, b)); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}

		time.Sleep(3*time.Second - 1)
		wantState(t, b, open)
		if e := refused(t, b); e.RetryAfter != 1 {
			t.Errorf("retry after %v, want 1ns", e.RetryAfter)
		}
		time.Sleep(1) // exactly the open time, not a nanosecond later
		wantState(t, b, halfOpen)
		call(t, b, 1, ok)
		wantState(t, b, halfOpen)
		call(t, b, 1, ok)
		wantState(t, b, closed)

		call(t, b, 3, transient) // the window began anew
		wantState(t, b, closed)
	})
}

func TestFailedProbeOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		for range 3 {
			time.Sleep(5 * time.Second)
			call(t, b, 1, ok)
			call(t, b, 1, timedOut)
			wantState(t, b, open)
			if e := refused(t, b); e.RetryAfter != 5*time.Second {
				t.Errorf("retry after %v, want 5s", e.RetryAfter)
			}
		}
	})
}

func TestRefusalsMatchGobreakersErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, overload)
		var err error = refused(t, b)
		if !errors.Is(err, gobreaker.ErrOpenState) || !errors.Is(err, resilience.ErrOpen) {
			t.Errorf("open: %v matches neither", err)
		}
		if got, want := err.Error(), `breaker "payment": open; retry after 5s`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(5 * time.Second)
		allow(t, b)
		allow(t, b)
		err = refused(t, b)
		if !errors.Is(err, gobreaker.ErrOpenState) || !errors.Is(err, gobreaker.ErrTooManyRequests) {
			t.Errorf("half-open: %v matches not both", err)
		}
		if got, want := err.Error(), `breaker "payment": half-open, probes under way`; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestOutcomesWhileClosed(t *testing.T) {
	for o := ok; o <= rejected+1; o++ {
		fails := o == transient || o == overload || o == timedOut
		t.Run(o.String(), func(t *testing.T) {
			b := newBreaker(t)
			for range 100 {
				lease, err := b.Allow(t.Context())
				if err != nil {
					break
				}
				lease.Done(t.Context(), o, breaker.DefaultPatience-1, time.Hour)
			}
			if got := b.State() == open; got != fails {
				t.Errorf("opened: %v, want %v", got, fails)
			}
		})
	}
}

// PAINS 13, and what Must hold says of it.
func TestCancellationAndClientFaultsLeaveItClosed(t *testing.T) {
	b, err := breaker.New("payment", breaker.WithMinCalls(1))
	if err != nil {
		t.Fatal(err)
	}
	call(t, b, 6, canceled)
	call(t, b, 100, clientFault)
	call(t, b, 6, callerDeadline)
	call(t, b, 6, rejected)
	wantState(t, b, closed)
	s := b.Snapshot()
	if s.Successes != 100 || s.Failures != 0 {
		t.Errorf("%d successes, %d failures; want 100 and 0", s.Successes, s.Failures)
	}
}

func TestWhatNeverCountsIsNoVolume(t *testing.T) {
	b := newBreaker(t)
	call(t, b, 3, transient)
	call(t, b, 100, canceled)
	call(t, b, 100, serverFault)
	wantState(t, b, closed)
	call(t, b, 1, transient)
	wantState(t, b, open)
}

func TestFailuresByChoice(t *testing.T) {
	b := newBreaker(t, breaker.WithFailures(serverFault))
	call(t, b, 100, overload)
	call(t, b, 3, serverFault)
	wantState(t, b, closed)
	call(t, b, 1, serverFault)
	wantState(t, b, open)
}

func TestRatioNeedsItsShare(t *testing.T) {
	for _, tc := range []struct {
		name               string
		ratio              float64
		successes, failing int
	}{
		{"half", 0.5, 5, 5},
		{"a tenth", 0.1, 27, 3},
		{"all", 1, 0, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBreaker(t, breaker.WithFailureRatio(tc.ratio))
			call(t, b, tc.successes, ok)
			call(t, b, tc.failing-1, transient)
			wantState(t, b, closed)
			call(t, b, 1, transient)
			wantState(t, b, open)
		})
	}
}

func TestWindowSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithWindow(10*time.Second))
		call(t, b, 3, transient)
		time.Sleep(9999 * time.Millisecond)
		if s := b.Snapshot(); s.Failures != 3 {
			t.Errorf("%d failures in the window, want 3", s.Failures)
		}
		time.Sleep(time.Millisecond)
		if s := b.Snapshot(); s.Failures != 0 {
			t.Errorf("%d failures in the window, want 0", s.Failures)
		}
		call(t, b, 3, transient)
		wantState(t, b, closed)
		call(t, b, 1, transient)
		wantState(t, b, open)
	})
}

func TestCallsOfAnotherStateDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		var late [3]breaker.Lease
		for i := range late {
			late[i] = allow(t, b)
		}
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		late[0].Done(t.Context(), ok, 0, 0) // admitted while closed: proves nothing
		probe := allow(t, b)
		late[1].Done(t.Context(), transient, 0, 0)
		late[2].Release()
		wantState(t, b, halfOpen)
		probe.Done(t.Context(), ok, 0, 0)
		wantState(t, b, halfOpen)
		call(t, b, 1, ok)
		wantState(t, b, closed)
	})
}

func TestDoneCountsOnce(t *testing.T) {
	b := newBreaker(t)
	lease := allow(t, b)
	for range 10 {
		lease.Done(t.Context(), transient, 0, 0)
		lease.Release()
	}
	wantState(t, b, closed)
	if s := b.Snapshot(); s.Failures != 1 {
		t.Errorf("%d failures, want 1", s.Failures)
	}
	var zero breaker.Lease
	zero.Done(t.Context(), transient, 0, 0)
	zero.Release()
}

// TestAnswered: a refusal by a policy over there never counts, and is a good probe.
func TestAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithProbes(1))
		for range 100 {
			lease := allow(t, b)
			lease.Answered(t.Context())
			lease.Done(t.Context(), transient, 0, 0) // the first report counts
		}
		if s := b.Snapshot(); s.State != closed || s.Failures != 0 || s.Successes != 0 {
			t.Fatalf("%+v, want nothing counted", s)
		}
		for b.State() == closed {
			lease := allow(t, b)
			lease.Done(t.Context(), transient, 0, 0)
		}
		time.Sleep(b.Snapshot().OpenFor)
		probe := allow(t, b)
		probe.Answered(t.Context())
		wantState(t, b, closed)
		var zero breaker.Lease
		zero.Answered(t.Context())
	})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithRetryAfterBounds(time.Second, time.Minute))
		fail := func(context.Context) error { return errDown }
		for range 3 {
			if err := b.Do(t.Context(), fail); !errors.Is(err, errDown) {
				t.Fatalf("got %v, want the error of the call", err)
			}
		}
		limited := &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Remote: true, RetryAfter: 20 * time.Second}
		for range 20 { // whoever refuses answers
			if err := b.Do(t.Context(), func(context.Context) error { return limited }); !errors.Is(err, limited) {
				t.Fatalf("got %v, want the error of the call", err)
			}
		}
		wantState(t, b, closed)
		lease := allow(t, b)
		lease.Done(t.Context(), transient, 0, 20*time.Second)
		if e := refused(t, b); e.RetryAfter != 20*time.Second {
			t.Errorf("retry after %v, want 20s", e.RetryAfter)
		}
		time.Sleep(20 * time.Second)
		called := 0
		for range 2 {
			if err := b.Do(t.Context(), func(context.Context) error { called++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if called != 2 {
			t.Errorf("called %d times, want 2", called)
		}
		wantState(t, b, closed)
	})
}

func TestDoClassifies(t *testing.T) {
	b := newBreaker(t, breaker.WithClassifier(func(_ context.Context, err error) resilience.Outcome {
		if err == nil {
			return ok
		}
		return clientFault
	}))
	for range 100 {
		_ = b.Do(t.Context(), func(context.Context) error { return errDown })
	}
	wantState(t, b, closed)
}

func TestDoMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithSlowCalls(2*time.Second, 1))
		for _, d := range []time.Duration{2, 2, 3, 2} {
			wantState(t, b, closed)
			_ = b.Do(t.Context(), func(context.Context) error { time.Sleep(d * time.Second); return nil })
		}
		wantState(t, b, open)
	})
}

// gobreaker counts a call by when it began, and so forgets those that take longer
// than its window: a service that hangs would never trip it.
func TestCallsLongerThanTheWindowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.WithWindow(10*time.Second))
		for range 4 {
			lease := allow(t, b)
			go func() {
				time.Sleep(time.Minute)
				lease.Done(t.Context(), timedOut, time.Minute, 0)
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantState(t, b, open)
	})
}
