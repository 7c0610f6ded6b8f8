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

func TestForcing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []resilience.StateChange
		b := newBreaker(t, breaker.WithObserver(resilience.Observer{
			StateChanged: func(_ context.Context, e resilience.StateChange) { got = append(got, e) },
		}))
		ctx := t.Context()
		before := allow(t, b)

		b.ForceOpen(ctx)
		e := refused(t, b)
		if e.RetryAfter != 0 || e.Reason != "forced open" || !errors.Is(e, gobreaker.ErrOpenState) {
			t.Errorf("refusal %+v", e)
		}
		before.Done(ctx, overload, 0, time.Minute) // of another time
		time.Sleep(time.Hour)
		wantState(t, b, open)
		refused(t, b)

		b.ForceClose(ctx)
		call(t, b, 100, transient)
		wantState(t, b, closed)

		b.Reset(ctx)
		wantState(t, b, closed)
		call(t, b, 3, transient)
		wantState(t, b, closed)
		call(t, b, 1, transient)
		wantState(t, b, open)

		b.Reset(ctx)
		call(t, b, 3, transient)
		wantState(t, b, closed)

		change := func(from, to resilience.State, reason string) resilience.StateChange {
			return resilience.StateChange{Name: "payment", From: from, To: to, Reason: reason}
		}
		tripped := change(closed, open, "failure ratio 1.00 of 4 calls")
		tripped.OpenFor = 5 * time.Second
		want := []resilience.StateChange{
			change(closed, open, "forced open"),
			change(open, closed, "forced closed"),
			tripped,
			change(open, closed, "reset"),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

func TestResetForgetsWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		trip(t, b, 0, 0, 0, time.Minute)
		b.Reset(t.Context())
		lease := allow(t, b)
		lease.Done(t.Context(), overload, 0, time.Minute)
		b.Reset(t.Context())
		trip(t, b, 0, 0, 0, 0)
		if got := refused(t, b).RetryAfter; got != 5*time.Second {
			t.Errorf("open for %v, want 5s", got)
		}
	})
}

func TestResetWhileHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		call(t, b, 4, transient)
		time.Sleep(5 * time.Second)
		probe := allow(t, b)
		b.Reset(t.Context())
		probe.Done(t.Context(), transient, 0, 0) // no longer a probe
		wantState(t, b, closed)
		if s := b.Snapshot(); s.Failures != 0 || s.Probes != 0 {
			t.Errorf("%+v, want no failures and no probes", s)
		}
	})
}
