// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"context"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func reply(ctx context.Context, _ retry.Attempt) (*int, retry.Result) {
	return nil, retry.Result{Err: ctx.Err()}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, tc := range []struct {
		name string
		p    *hedge.Policy
		most float64
	}{
		// Not hedged: nothing.
		{"one attempt", mustNew(t, hedge.WithMaxAttempts(1)), 0},
		{"observed", mustNew(t, hedge.WithMaxAttempts(1), hedge.WithObserver(resilience.Observer{Attempted: func(context.Context, resilience.Attempt) {}})), 0},
		{"not known yet", mustNew(t, hedge.WithQuantile(0.999)), 0},
		// Could be hedged: the race, its channel and timer, the attempt's context
		// and goroutine.
		{"soon enough", mustNew(t, hedge.WithDelay(time.Hour)), 14},
	} {
		n := testing.AllocsPerRun(90, func() {
			if _, s := hedge.Do(t.Context(), tc.p, reply, nil); s.Err != nil {
				t.Error(s.Err)
			}
		})
		t.Logf("%s: %v", tc.name, n)
		if n > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, n, tc.most)
		}
	}
}

// What a policy adds to a call that is answered in time, beside gobreaker as a measure.
func BenchmarkSuccess(b *testing.B) {
	ctx := b.Context()
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			reply(ctx, retry.Attempt{})
		}
	})
	for name, opts := range map[string][]hedge.Option{
		"one attempt": {hedge.WithMaxAttempts(1)},
		"fixed":       {hedge.WithDelay(time.Hour)},
		"quantile":    {hedge.WithDelay(time.Hour), hedge.WithQuantile(0.95), hedge.WithMinDelay(time.Hour)},
	} {
		b.Run(name, func(b *testing.B) {
			p := mustNew(b, opts...)
			b.ReportAllocs()
			for b.Loop() {
				hedge.Do(ctx, p, reply, nil)
			}
		})
	}
	b.Run("gobreaker", func(b *testing.B) {
		breaker := gobreaker.NewCircuitBreaker[*int](gobreaker.Settings{})
		b.ReportAllocs()
		for b.Loop() {
			_, _ = breaker.Execute(func() (*int, error) { return nil, ctx.Err() })
		}
	})
}
