// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func noop(context.Context, retry.Attempt) retry.Result { return retry.Result{} }

// all has everything that applies to a call which succeeds.
func all(t testing.TB) *policies.Service {
	return mustNew(t, policies.WithService("payment",
		policies.Retry(), policies.Breaker(), policies.RateLimit(1e9, 1e6), policies.Bulkhead(1000),
		policies.Method("/shop.Payment/", policies.NoRetry()),
		policies.Method("/shop.Payment/Get", policies.Retry(retry.WithMaxAttempts(2))))).Service("payment")
}

// Must hold: breaker, limiter, bulkhead and retry with its budget at no more than three
// allocations together. One is gobreaker's.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	svc := all(t)
	c := svc.Client()
	set := mustNew(t)
	set.Service("payment")
	for _, tc := range []struct {
		name string
		f    func()
		want float64
	}{
		{"all together", func() { c.Do(ctx, noop) }, 1},
		{"Admit and Done", func() {
			permit, _ := c.Admit(ctx)
			permit.Done(ctx, resilience.OutcomeOK, time.Millisecond, 0)
		}, 1},
		{"lookup", func() { set.Service("payment").Method("/shop.Payment/Charge") }, 0},
		{"lookup, exact", func() { svc.Method("/shop.Payment/Get") }, 0},
		{"lookup, gRPC service", func() { svc.Method("/shop.Payment/Charge") }, 0},
		{"lookup, no options of its own", func() { svc.Method("GET /charges/{id}") }, 0},
	} {
		if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
}

// Read it as ratios to gobreaker/Execute.
func BenchmarkDo(b *testing.B) {
	ctx := b.Context()
	c := all(b).Client()
	none, breaker, retry := &policies.Client{}, &policies.Client{Breaker: c.Breaker}, &policies.Client{Retry: c.Retry}
	limiter, bulkhead := &policies.Client{RateLimit: c.RateLimit}, &policies.Client{Bulkhead: c.Bulkhead}
	set := mustNew(b)
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"gobreaker/Execute", func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }},
		{"none", func() { none.Do(ctx, noop) }},
		{"breaker", func() { breaker.Do(ctx, noop) }},
		{"retry", func() { retry.Do(ctx, noop) }},
		{"limiter", func() { limiter.Do(ctx, noop) }},
		{"bulkhead", func() { bulkhead.Do(ctx, noop) }},
		{"all", func() { c.Do(ctx, noop) }},
		{"lookup", func() { set.Service("payment").Method("/shop.Payment/Charge") }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.f()
			}
		})
	}
	b.Run("all/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Do(ctx, noop)
			}
		})
	})
}
