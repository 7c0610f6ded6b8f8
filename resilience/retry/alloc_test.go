// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// send is a call that succeeds and captures what adapters capture.
func send(ctx context.Context, reply *int) error {
	*reply++
	return ctx.Err()
}

func TestSuccessAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	observed := resilience.Observer{Attempted: func(context.Context, resilience.Attempt) {}}
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "a request's")
	for _, tc := range []struct {
		name string
		p    *retry.Policy
		most float64
	}{
		{"default", mustNew(t), 0},
		{"observed", mustNew(t, retry.WithObserver(observed)), 0},
		{"no budget", mustNew(t, retry.WithoutBudget()), 0},
		// Ours is the limit; the rest is what context.WithDeadlineCause costs.
		{"per-try timeout", mustNew(t, retry.WithPerTryTimeout(time.Second)), 6},
	} {
		var reply int
		do := testing.AllocsPerRun(200, func() {
			s := tc.p.Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
				return retry.Result{Err: send(ctx, &reply)}
			})
			if s.Err != nil {
				t.Error(s.Err)
			}
		})
		open := testing.AllocsPerRun(200, func() {
			_, release := tc.p.Open(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
				return retry.Result{Err: send(ctx, &reply)}
			})
			release()
		})
		run := testing.AllocsPerRun(200, func() {
			run := tc.p.Start(ctx)
			ctx, limit := run.Begin()
			run.Next(retry.Result{Err: send(ctx, &reply)})
			limit.End()
		})
		t.Logf("%s: Do %v, Open %v, Run %v", tc.name, do, open, run)
		if most := max(do, run); most > tc.most || tc.most == 0 && open > 0 {
			t.Errorf("%s: Do %v, Open %v, Run %v allocations, want at most %v", tc.name, do, open, run, tc.most)
		}
	}
}

func TestParsersAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	now := time.Now()
	if n := testing.AllocsPerRun(200, func() {
		retry.ParseRetryAfter("120", now)
		retry.ParsePushback("250")
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// What a policy adds to a call that succeeds, beside gobreaker as a measure.
func BenchmarkSuccess(b *testing.B) {
	ctx := b.Context()
	b.Run("bare", func(b *testing.B) {
		var reply int
		b.ReportAllocs()
		for b.Loop() {
			if err := send(ctx, &reply); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, tc := range []struct {
		name string
		opts []retry.Option
	}{
		{"default", nil},
		{"no budget, fixed estimate", []retry.Option{retry.WithoutBudget(), retry.WithAttemptEstimate(0)}},
		{"observed", []retry.Option{retry.WithObserver(resilience.Observer{Attempted: func(context.Context, resilience.Attempt) {}})}},
		{"per-try timeout", []retry.Option{retry.WithPerTryTimeout(time.Second)}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			p := mustNew(b, tc.opts...)
			var reply int
			b.ReportAllocs()
			for b.Loop() {
				p.Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
					return retry.Result{Err: send(ctx, &reply)}
				})
			}
		})
	}
	b.Run("gobreaker", func(b *testing.B) {
		breaker := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{})
		var reply int
		b.ReportAllocs()
		for b.Loop() {
			_, _ = breaker.Execute(func() (struct{}, error) { return struct{}{}, send(ctx, &reply) })
		}
	})
}

func BenchmarkSuccessParallel(b *testing.B) {
	p := mustNew(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		var reply int
		for pb.Next() {
			p.Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result {
				return retry.Result{Err: send(ctx, &reply)}
			})
		}
	})
}
