// SPDX-License-Identifier: Apache-2.0

package bulkhead_test

import (
	"context"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience/bulkhead"
)

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	b := newBulkhead(t, 1, bulkhead.WithQueue(5, time.Second))
	for name, f := range map[string]func(){
		"Allow and Done": func() {
			p, _ := b.Allow(ctx)
			p.Done()
		},
		"Do": func() { _ = b.Do(ctx, func(context.Context) error { return nil }) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

// Read it as a ratio to gobreaker/Execute.
func BenchmarkBulkhead(b *testing.B) {
	ctx := b.Context()
	bh := newBulkhead(b, 100, bulkhead.WithQueue(100, time.Second))
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"gobreaker/Execute", func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }},
		{"permit", func() {
			p, err := bh.Allow(ctx)
			if err != nil {
				b.Error(err)
			}
			p.Done()
		}},
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
