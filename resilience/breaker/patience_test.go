// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// In the middle of a mesh every deadline is a caller's: a service that hangs has to
// open the breaker all the same, and a caller in a hurry must not.
func TestPatientDeadlinesCount(t *testing.T) {
	options := func(o ...breaker.Option) []breaker.Option { return o }
	for _, tc := range []struct {
		name    string
		opts    []breaker.Option
		outcome resilience.Outcome
		took    time.Duration
		opens   bool
	}{
		{"long enough", nil, callerDeadline, time.Second, true},
		{"a moment too short", nil, callerDeadline, time.Second - 1, false},
		{"at once", nil, callerDeadline, 0, false},
		{"canceled, however long it took", nil, canceled, time.Hour, false},
		{"rejected, however long it took", nil, rejected, time.Hour, false},
		{"more patience, long enough", options(breaker.WithPatience(3 * time.Second)), callerDeadline, 3 * time.Second, true},
		{"more patience, a moment too short", options(breaker.WithPatience(3 * time.Second)), callerDeadline, 3*time.Second - 1, false},
		{"never", options(breaker.WithPatience(0)), callerDeadline, time.Hour, false},
		{"whatever else is a failure", options(breaker.WithFailures(serverFault)), callerDeadline, time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBreaker(t, tc.opts...)
			for range 4 {
				wantState(t, b, closed)
				lease := allow(t, b)
				lease.Done(t.Context(), tc.outcome, tc.took, 0)
			}
			want := closed
			if tc.opens {
				want = open
			}
			wantState(t, b, want)
			if s := b.Snapshot(); !tc.opens && s.Successes+s.Failures != 0 {
				t.Errorf("%d successes and %d failures, want nothing to count", s.Successes, s.Failures)
			}
		})
	}
}

func TestDoTellsPatientDeadlines(t *testing.T) {
	for deadline, want := range map[time.Duration]resilience.State{
		time.Second:     open,
		time.Second - 1: closed,
	} {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t)
				for range 4 {
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					_ = b.Do(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
					cancel()
				}
				wantState(t, b, want)
			})
		})
	}
}

func TestPatientDeadlineFailsAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)

		for range 10 { // these give their places back
			lease := allow(t, b)
			lease.Done(t.Context(), callerDeadline, time.Second-1, 0)
		}
		wantState(t, b, halfOpen)

		lease := allow(t, b)
		lease.Done(t.Context(), callerDeadline, time.Second, 0)
		wantState(t, b, open)
		if got, want := b.Snapshot().LastTrip.Reason, "probe failed: caller_deadline"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

// The place of a probe is free from the moment its deadline passes, but what the
// probe learned by then counts when it is reported.
func TestPatientProbeIsReportedAfterItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		late, err := b.Allow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		allow(t, b)
		time.Sleep(2 * time.Second)
		allow(t, b) // in the place of the first
		refused(t, b)
		late.Done(ctx, callerDeadline, 2*time.Second, 0)
		wantState(t, b, open)
	})
}
