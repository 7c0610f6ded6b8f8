// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// calls are the ways to be admitted at once.
func calls(t testing.TB) map[string]func() {
	ctx := t.Context()
	l := newLimiter(t, 1e9, 1_000_000)
	c := newConcurrency(t, 100, ratelimit.WithQueue(100, time.Second))
	both := ratelimit.NewBoth(l, c)
	k := newKeyed(t, 1e9, 1_000_000)
	for range 5000 {
		_ = k.Allow(ctx, ratelimit.Key{Client: time.Now().String()})
	}
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	return map[string]func(){
		"limiter": func() { check(l.Allow(ctx)) },
		"wait":    func() { check(l.Wait(ctx)) },
		"concurrency": func() {
			permit, err := c.Allow(ctx)
			check(err)
			permit.Done()
		},
		"both": func() {
			permit, err := both.Allow(ctx)
			check(err)
			permit.Done()
		},
		"keyed": func() { check(k.Allow(ctx, ratelimit.Key{Client: "tenant-17", Method: "/shop.v1.Orders/Get"})) },
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, f := range calls(t) {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

// Read it as a ratio to gobreaker/Execute.
func BenchmarkLimiters(b *testing.B) {
	all := calls(b)
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	all["gobreaker/Execute"] = func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }
	for name, f := range all {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					f()
				}
			})
		})
	}
}
