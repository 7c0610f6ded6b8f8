// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// heard notes what an observer was told: which policy of which name did what.
type heard map[string]bool

func (h heard) observer() resilience.Observer {
	return resilience.Observer{
		Rejected: func(_ context.Context, e *resilience.RejectedError) {
			h["rejected by "+string(e.Policy)+" "+e.Name] = true
		},
		StateChanged: func(_ context.Context, e resilience.StateChange) { h[e.To.String()+" "+e.Name] = true },
		Attempted: func(_ context.Context, e resilience.Attempt) {
			h["attempt of "+string(e.Policy)+" "+e.Name] = true
		},
	}
}

func TestObserverHearsEveryPolicy(t *testing.T) {
	first, second := heard{}, heard{}
	s := mustNew(t,
		policies.WithName("order"),
		policies.WithObserver(first.observer()),
		policies.WithObserver(second.observer()),
		policies.WithDefaults(
			policies.Breaker(breaker.WithMinCalls(1), breaker.WithOpenTime(time.Hour)),
			policies.Method("/a/hedged", policies.Hedge(hedge.WithDelay(time.Hour)))),
		policies.WithService("limited", policies.RateLimit(1e-9, 1)),
		policies.WithService("full", policies.Bulkhead(1)),
		policies.WithServer(policies.RateLimit(1e-9, 1), policies.Concurrency(1), policies.Shed(shed.WithoutCPU())))

	ctx := t.Context()
	succeed := func(context.Context, retry.Attempt) retry.Result { return retry.Result{} }
	for range 2 { // the second is refused
		s.Service("down").Method("/a/b").Do(ctx, func(context.Context, retry.Attempt) retry.Result {
			return retry.Result{Outcome: resilience.OutcomeTransient, Err: errDown, Veto: retry.ReasonNotReplayable}
		})
		s.Service("limited").Method("/a/hedged").Do(ctx, succeed)
		s.Service("full").Method("/a/b").Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
			_, err := s.Service("full").Client().Bulkhead.Allow(ctx)
			return retry.Result{Outcome: resilience.OutcomeRejected, Err: err}
		})
		_ = s.Server().RateLimit.Allow(ctx)
		_, _ = s.Server().Concurrency.Allow(ctx)
	}
	for i := 0; !first["rejected by shed order"]; i++ {
		if i == 1000 {
			t.Fatal("the shedder admits everything")
		}
		_, _ = s.Server().Shed.Allow(ctx, shed.PriorityNormal)
	}

	want := []string{
		"attempt of hedge limited", "attempt of retry down", "attempt of retry full", "open down",
		"rejected by breaker down", "rejected by bulkhead full", "rejected by concurrency order", "rejected by rate_limit limited",
		"rejected by rate_limit order", "rejected by shed order",
	}
	for i, h := range []heard{first, second} {
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(h))); diff != "" {
			t.Errorf("observer %d heard (-want +got):\n%s", i+1, diff)
		}
	}
}

func TestObserverOfAPolicyTakesItsPlace(t *testing.T) {
	whole, own := heard{}, heard{}
	s := mustNew(t, policies.WithObserver(whole.observer()), policies.WithService("payment", policies.Retry(retry.WithObserver(own.observer()))))
	s.Service("payment").Client().Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return retry.Result{} })
	if len(whole) != 0 || !own["attempt of retry payment"] {
		t.Errorf("the set's heard %v, the policy's own %v", whole, own)
	}
}
