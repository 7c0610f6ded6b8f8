// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// chain is a service behind three hops that all retry.
type chain struct {
	hops   []*retry.Policy
	down   atomic.Bool
	sent   atomic.Int64 // to the service
	advise bool         // hops tell their callers not to retry in turn
}

// call is a request as it arrives at hop i. The context stands for the wire: adapters
// carry over what it holds of previous attempts.
func (c *chain) call(ctx context.Context, i int) retry.Result {
	if i == len(c.hops) {
		c.sent.Add(1)
		time.Sleep(ms)
		if c.down.Load() {
			return ended(resilience.OutcomeTransient)
		}
		return retry.Result{}
	}
	s := c.hops[i].Do(ctx, func(ctx context.Context, _ retry.Attempt) retry.Result { return c.call(ctx, i+1) })
	res := retry.Result{Outcome: s.Outcome, Err: s.Err}
	if c.advise && retry.DoNotRetry(s.Err) {
		res.Pushback = retry.PushbackStop()
	}
	return res
}

// offer sends 200 requests a second for d and returns how many succeeded, and how many
// calls reached the service for each of them.
func (c *chain) offer(ctx context.Context, d time.Duration) (goodput, amplification float64) {
	const gap = 5 * ms
	var wg sync.WaitGroup
	var good atomic.Int64
	before, offered := c.sent.Load(), int(d/gap)
	for range offered {
		wg.Go(func() {
			if c.call(ctx, 0).Outcome == resilience.OutcomeOK {
				good.Add(1)
			}
		})
		time.Sleep(gap)
	}
	wg.Wait()
	return float64(good.Load()) / float64(offered), float64(c.sent.Load()-before) / float64(offered)
}

// PAINS 17: a service that is down behind three hops, each with three attempts, is not
// sent 27 calls for each request but hardly more than one.
func TestRetryStorm(t *testing.T) {
	for _, tc := range []struct {
		name        string
		opts        []retry.Option
		advise      bool
		least, most float64 // calls per request during the outage
	}{
		{"retries as everybody makes them", []retry.Option{retry.WithoutBudget(), retry.WithNestedRetries()}, false, 27, 27},
		{"no retry of retries", []retry.Option{retry.WithoutBudget()}, false, 7, 7}, // 1 + 2 at each hop
		{"budgets alone", []retry.Option{retry.WithNestedRetries()}, false, 1.3, 1.45},
		{"both", nil, false, 1.2, 1.35},
		{"both, and callers are told", nil, true, 1, 1.15},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chain{advise: tc.advise}
				for range 3 {
					p, err := retry.New("next", tc.opts...)
					if err != nil {
						t.Fatal(err)
					}
					c.hops = append(c.hops, p)
				}
				if goodput, amplification := c.offer(t.Context(), 10*time.Second); goodput != 1 || amplification != 1 {
					t.Errorf("before: goodput %v, amplification %v, want 1 and 1", goodput, amplification)
				}
				c.down.Store(true)
				goodput, amplification := c.offer(t.Context(), 30*time.Second)
				t.Logf("%.3f calls a request", amplification)
				if goodput != 0 || amplification < tc.least || amplification > tc.most {
					t.Errorf("outage: amplification %v, want %v to %v", amplification, tc.least, tc.most)
				}
				c.down.Store(false)
				if goodput, amplification := c.offer(t.Context(), time.Second); goodput != 1 || amplification != 1 {
					t.Errorf("after: goodput %v, amplification %v, want 1 and 1", goodput, amplification)
				}
			})
		})
	}
}
