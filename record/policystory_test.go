// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/fallback"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// story is what a span tells: an event a line, with the values that are the same
// each time.
func story(t *testing.T, b *bench) []string {
	t.Helper()
	var out []string
	for _, e := range eventsOf(b.spans.Ended()[len(b.spans.Ended())-1]) {
		words := []string{e.Name}
		for _, key := range []string{"attempt", "max_attempts", "outcome", "policy", "policy.name", "breaker.from", "breaker.to", "reason"} {
			if v, ok := e.Attrs["fairlead."+key]; ok {
				words = append(words, fmt.Sprint(v))
			}
		}
		if _, waits := e.Attrs["fairlead.backoff_ms"]; waits {
			words = append(words, "and again")
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

// TestRealPolicies: what the policies themselves tell becomes the story of the
// call, one event a decision.
func TestRealPolicies(t *testing.T) {
	down := func(context.Context, retry.Attempt) retry.Result {
		return retry.Result{Outcome: resilience.OutcomeTransient, Err: errUnavailable}
	}
	observed := retry.WithObserver(record.PolicyEvents())
	for _, tc := range []struct {
		name     string
		do       func(t *testing.T, ctx context.Context)
		ok       bool
		want     []string
		reason   any
		degraded any
	}{
		{
			name: "retried in vain",
			do: func(t *testing.T, ctx context.Context) {
				made[*retry.Policy](t)(retry.New("stock", observed)).Do(ctx, down)
			},
			want: []string{
				"retry 1 3 transient stock and again",
				"retry 2 3 transient stock and again",
				"retry 3 3 transient stock attempts exhausted",
			},
			reason: "attempts exhausted",
		},
		{
			name: "retried with success",
			do: func(t *testing.T, ctx context.Context) {
				made[*retry.Policy](t)(retry.New("stock", observed)).Do(ctx, func(ctx context.Context, a retry.Attempt) retry.Result {
					if a.Number == 1 {
						return down(ctx, a)
					}
					return retry.Result{}
				})
			},
			ok:   true,
			want: []string{"retry 1 3 transient stock and again"},
		},
		{
			name: "succeeded at once",
			do: func(t *testing.T, ctx context.Context) {
				made[*retry.Policy](t)(retry.New("stock", observed)).Do(ctx, func(context.Context, retry.Attempt) retry.Result { return retry.Result{} })
			},
			ok: true,
		},
		{
			name: "hedged",
			do: func(t *testing.T, ctx context.Context) {
				p := made[*hedge.Policy](t)(hedge.New("stock", hedge.WithDelay(time.Second), hedge.WithObserver(record.PolicyEvents())))
				hedge.Do(ctx, p, func(ctx context.Context, a retry.Attempt) (int, retry.Result) {
					if a.Number == 1 {
						<-ctx.Done()
						return 0, retry.Result{Outcome: resilience.OutcomeCanceled, Err: ctx.Err()}
					}
					return 1, retry.Result{}
				}, nil)
			},
			ok:   true,
			want: []string{"hedge 2 2 ok stock", "hedge 1 2 canceled stock another attempt answered first"},
		},
		{
			name: "tripped, refused, and a fallback stood in",
			do: func(t *testing.T, ctx context.Context) {
				br := made[*breaker.Breaker](t)(breaker.New("stock", breaker.WithObserver(record.PolicyEvents())))
				fb := made[*fallback.Fallback[int]](t)(fallback.New("cached stock", func(context.Context, error) (int, error) { return 7, nil },
					fallback.WithObserver(record.PolicyEvents())))
				for br.State() == resilience.StateClosed {
					lease, err := br.Allow(ctx)
					if err != nil {
						t.Fatal(err)
					}
					lease.Done(ctx, resilience.OutcomeTransient, time.Millisecond, 0)
				}
				_, err := br.Allow(ctx)
				if _, degraded, err := fb.Apply(ctx, resilience.OutcomeRejected, err); !degraded || err != nil {
					t.Errorf("degraded %v, %v", degraded, err)
				}
			},
			ok: true,
			want: []string{
				"breaker state changed stock closed open failure ratio 1.00 of 20 calls",
				"rejected breaker stock open",
				"fallback cached stock",
			},
			degraded: "cached stock",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				call := b.StartRPCClient(t.Context(), b.RPCClientMethod("/shop.Stock/Get", "dns:///stock:443", metrics.Unary))
				tc.do(t, call)
				clientKinds[0].finish(call, tc.ok)
				if diff := cmp.Diff(tc.want, story(t, b)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				line := b.lines(t)[0]
				if line[record.RetryReasonKey] != tc.reason || line[record.DegradedKey] != tc.degraded {
					t.Errorf("the line says retry_reason %v and degraded %v, want %v and %v",
						line[record.RetryReasonKey], line[record.DegradedKey], tc.reason, tc.degraded)
				}
			})
		})
	}
}

// made returns a policy, or fails the test if there is none.
func made[P any](t *testing.T) func(p P, err error) P {
	t.Helper()
	return func(p P, err error) P {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}
