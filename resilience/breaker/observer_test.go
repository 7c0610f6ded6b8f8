// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func traced(ctx context.Context, id byte) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{id}, SpanID: trace.SpanID{id},
	}))
}

func TestEventsNameTheTraceAndTheNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []resilience.StateChange
		var refusals []resilience.RejectedError
		b := newBreaker(t, breaker.WithObserver(resilience.Observer{
			StateChanged: func(_ context.Context, e resilience.StateChange) { got = append(got, e) },
			Rejected:     func(_ context.Context, e *resilience.RejectedError) { refusals = append(refusals, *e) },
		}))
		report := func(id byte, o resilience.Outcome) {
			ctx := traced(t.Context(), id)
			lease, err := b.Allow(ctx)
			if err != nil {
				t.Fatal(err)
			}
			lease.Done(ctx, o, 0, 0)
		}
		report(1, ok)
		report(2, transient)
		report(3, transient)
		report(4, transient)
		refused(t, b)
		time.Sleep(5 * time.Second)
		report(5, timedOut)
		time.Sleep(5 * time.Second)
		report(6, ok)
		report(7, ok)

		id := func(id byte) string { return trace.TraceID{id}.String() }
		want := []resilience.StateChange{
			{Name: "payment", From: closed, To: open, Reason: "failure ratio 0.75 of 4 calls", OpenFor: 5 * time.Second, TraceID: id(4)},
			{Name: "payment", From: open, To: halfOpen, Reason: "open time over", TraceID: id(5)},
			{Name: "payment", From: halfOpen, To: open, Reason: "probe failed: timeout", OpenFor: 5 * time.Second, TraceID: id(5)},
			{Name: "payment", From: open, To: halfOpen, Reason: "open time over", TraceID: id(6)},
			{Name: "payment", From: halfOpen, To: closed, Reason: "2 probes succeeded", TraceID: id(7)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want[2], b.Snapshot().LastTrip); diff != "" {
			t.Errorf("last trip (-want +got):\n%s", diff)
		}
		wantRefusals := []resilience.RejectedError{{Policy: resilience.PolicyBreaker, Name: "payment", Reason: "open", RetryAfter: 5 * time.Second}}
		if diff := cmp.Diff(wantRefusals, refusals); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	})
}

// PAINS 13: gobreaker's own OnStateChange deadlocks here.
func TestObserverMayAskTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var states []resilience.State
		ask := func(ctx context.Context) {
			s := b.Snapshot()
			if got := b.State(); got != s.State {
				t.Errorf("state %v and %v", got, s.State)
			}
			states = append(states, s.State)
			if lease, err := b.Allow(ctx); err == nil {
				lease.Release()
			}
		}
		nested := false
		b = newBreaker(t, breaker.WithObserver(resilience.Observer{
			StateChanged: func(ctx context.Context, _ resilience.StateChange) { ask(ctx) },
			Rejected: func(ctx context.Context, _ *resilience.RejectedError) {
				if !nested {
					nested = true
					ask(ctx)
				}
			},
		}))
		call(t, b, 4, transient)
		refused(t, b)
		time.Sleep(5 * time.Second)
		call(t, b, 2, ok)
		b.ForceOpen(t.Context())
		b.Reset(t.Context())
		want := []resilience.State{open, open, halfOpen, closed, open, closed}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("states seen (-want +got):\n%s", diff)
		}
	})
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t)
		start := time.Now()
		call(t, b, 2, ok)
		call(t, b, 1, transient)
		want := breaker.Snapshot{Name: "payment", State: closed, Since: start, Successes: 2, Failures: 1}
		if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
			t.Errorf("closed (-want +got):\n%s", diff)
		}

		call(t, b, 1, transient)
		last := resilience.StateChange{Name: "payment", From: closed, To: open, Reason: "failure ratio 0.50 of 4 calls", OpenFor: 5 * time.Second}
		time.Sleep(time.Second)
		want = breaker.Snapshot{Name: "payment", State: open, Since: start, OpenFor: 4 * time.Second, Trips: 1, LastTrip: last}
		if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
			t.Errorf("open (-want +got):\n%s", diff)
		}

		time.Sleep(4 * time.Second)
		call(t, b, 1, ok)
		allow(t, b)
		want = breaker.Snapshot{Name: "payment", State: halfOpen, Since: start.Add(5 * time.Second), Successes: 1, Probes: 1, Trips: 1, LastTrip: last}
		if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
			t.Errorf("half-open (-want +got):\n%s", diff)
		}

		b.ForceOpen(t.Context())
		want = breaker.Snapshot{Name: "payment", State: open, Forced: true, Since: start.Add(5 * time.Second), Trips: 1, LastTrip: last}
		if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
			t.Errorf("forced (-want +got):\n%s", diff)
		}
	})
}
