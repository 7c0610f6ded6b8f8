// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func succeed(context.Context) error { return nil }

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	b := newBreaker(t, breaker.WithSlowCalls(time.Second, 0.5))
	r, err := breaker.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	many := newBreaker(t, breaker.WithMinCalls(1_000_000))
	shut := newBreaker(t)
	shut.ForceClose(ctx)
	for _, tc := range []struct {
		name string
		f    func()
		want float64
	}{
		{"Allow and Done", func() {
			lease, _ := b.Allow(ctx)
			lease.Done(ctx, ok, time.Millisecond, 0)
		}, 1},
		{"a failure", func() {
			lease, _ := many.Allow(ctx)
			defer lease.Release()
			lease.Done(ctx, transient, 0, time.Second)
		}, 1},
		{"Do", func() { _ = b.Do(ctx, succeed) }, 1},
		{"forced closed", func() {
			lease, _ := shut.Allow(ctx)
			lease.Done(ctx, ok, 0, 0)
		}, 0},
		{"For", func() { r.For("payment") }, 0},
	} {
		if got := testing.AllocsPerRun(100, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
}

// Read them as ratios to gobreaker/Execute.
func BenchmarkBreaker(b *testing.B) {
	ctx := b.Context()
	br, err := breaker.New("payment")
	if err != nil {
		b.Fatal(err)
	}
	slow, err := breaker.New("payment", breaker.WithSlowCalls(time.Second, 0.5))
	if err != nil {
		b.Fatal(err)
	}
	r, err := breaker.NewRegistry()
	if err != nil {
		b.Fatal(err)
	}
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	execute := func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }
	lease := func(br *breaker.Breaker) func() {
		return func() {
			lease, err := br.Allow(ctx)
			if err != nil {
				b.Error(err)
			}
			lease.Done(ctx, ok, time.Millisecond, 0)
		}
	}
	opened := newBreaker(b, breaker.WithOpenTime(time.Hour))
	call(b, opened, 4, transient)
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"gobreaker/Execute", execute},
		{"lease", lease(br)},
		{"lease/slow", lease(slow)},
		{"Do", func() { _ = br.Do(ctx, succeed) }},
		{"registry", func() { r.For("payment") }},
		{"refused", func() { _, _ = opened.Allow(ctx) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.f()
			}
		})
		b.Run(bm.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bm.f()
				}
			})
		})
	}
}
