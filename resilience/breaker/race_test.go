// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// Everything at once, in real time; in the end it is sound, and every change of
// state was told.
func TestConcurrentUse(t *testing.T) {
	var b *breaker.Breaker
	var trips, closings atomic.Int64
	b = newBreaker(t,
		breaker.WithWindow(20*time.Millisecond), breaker.WithOpenTime(time.Millisecond),
		breaker.WithRetryAfterBounds(time.Millisecond, 2*time.Millisecond),
		breaker.WithProbeLease(time.Millisecond), breaker.WithSlowCalls(time.Second, 0.5),
		breaker.WithObserver(resilience.Observer{
			StateChanged: func(_ context.Context, e resilience.StateChange) {
				_ = b.Snapshot()
				switch {
				case e.To == open && e.OpenFor > 0:
					trips.Add(1)
				case e.From == halfOpen && e.To == closed && e.Reason == "2 probes succeeded":
					closings.Add(1)
				}
			},
		}))
	start := time.Now()
	enough := func() bool {
		took := time.Since(start)
		return took > 10*time.Second || took > 200*time.Millisecond && trips.Load() > 0 && closings.Load() > 0
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for !enough() {
				lease, err := b.Allow(t.Context())
				if err != nil {
					continue
				}
				switch n := rand.IntN(100); {
				case n < 2: // lost
				case n < 10:
					lease.Release()
				default:
					o := resilience.Outcome(rand.IntN(int(rejected) + 1))
					go lease.Done(t.Context(), o, 0, time.Millisecond)
					lease.Done(t.Context(), o, 0, time.Millisecond)
				}
				if i == 0 && rand.IntN(5000) == 0 {
					b.ForceOpen(t.Context())
					b.Reset(t.Context())
				}
			}
		})
	}
	wg.Wait()
	if trips.Load() == 0 || closings.Load() == 0 {
		t.Errorf("%d trips and %d closings: the test did not test", trips.Load(), closings.Load())
	}
	if s := b.Snapshot(); s.Trips != uint64(trips.Load()) {
		t.Errorf("%d trips counted, %d told", s.Trips, trips.Load())
	}
}
