// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

// TestAllocations: a call that does not ask Redis costs nothing, and a refusal its
// error.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	batch := newLimiter(t, &fake{}, 1_000_000, unlimited, redislimit.WithBatch(1_000_000, time.Minute))
	gone := newLimiter(t, &fake{err: errors.New("down")}, 1, unlimited, redislimit.WithRecheck(time.Hour))
	for range 3 {
		_ = gone.Allow(ctx, key)
	}
	burst := newLimiter(t, &fake{}, 1)
	for name, tc := range map[string]struct {
		limiter *redislimit.Limiter
		want    float64
	}{"permits at hand": {batch, 0}, "Redis away": {gone, 0}, "refused": {burst, 1}} {
		if n := testing.AllocsPerRun(1000, func() { _ = tc.limiter.Allow(ctx, key) }); n != tc.want {
			t.Errorf("%s: %v allocations, want %v", name, n, tc.want)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	ctx := b.Context()
	run := func(b *testing.B, l *redislimit.Limiter) {
		b.ReportAllocs()
		for b.Loop() {
			_ = l.Allow(ctx, key)
		}
	}
	b.Run("permits at hand", func(b *testing.B) {
		run(b, newLimiter(b, &fake{}, 1<<30, unlimited, redislimit.WithBatch(1<<30, time.Minute)))
	})
	b.Run("refused", func(b *testing.B) { run(b, newLimiter(b, &fake{}, 1)) })
	b.Run("Redis away", func(b *testing.B) {
		l := newLimiter(b, &fake{err: errors.New("down")}, 1, unlimited, redislimit.WithRecheck(time.Hour))
		for range 3 {
			_ = l.Allow(ctx, key)
		}
		run(b, l)
	})
	c := connect(b, startServer(b).addr)
	b.Run("ping", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Ping(ctx).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, opts := range map[string]redislimit.Option{
		"asked":              redislimit.Options(),
		"asked in batches":   redislimit.WithBatch(10, time.Second),
		"asked, 1000 slices": redislimit.WithWindow(time.Minute, 60*time.Millisecond),
	} {
		b.Run(name, func(b *testing.B) {
			l := newLimiter(b, c, 1<<30, unlimited, redislimit.WithTimeout(time.Second), opts)
			run(b, l)
			if s := l.Snapshot(); s.Counts.Failed > 0 {
				b.Errorf("%+v", s)
			}
		})
	}
}
