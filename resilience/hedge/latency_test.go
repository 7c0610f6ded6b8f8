// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience/hedge"
)

// The estimate is never under the quantile, and over it by an eighth at most.
func TestEstimateIsClose(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, sample := range map[string]func() time.Duration{
		"uniform":     func() time.Duration { return time.Duration(rnd.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Duration(rnd.ExpFloat64() * float64(20*ms)) },
		"log-normal":  func() time.Duration { return time.Duration(math.Exp(rnd.NormFloat64()*2) * float64(ms)) },
		"constant":    func() time.Duration { return 37 * ms },
		"two kinds":   func() time.Duration { return []time.Duration{2 * ms, 3 * time.Second}[rnd.IntN(2)] },
		"minutes":     func() time.Duration { return time.Duration(rnd.Int64N(int64(4 * time.Minute))) },
	} {
		for _, q := range []float64{0.01, 0.5, 0.95, 0.999} {
			for _, n := range []int{150, 1000, 1950} {
				l := hedge.NewLatencies(q)
				var all []time.Duration
				for range n {
					d := sample()
					all = append(all, d)
					l.Observe(d)
				}
				slices.Sort(all)
				want := all[int(math.Ceil(q*float64(n)))-1]
				// Below 8 µs, buckets are as wide as a unit.
				if got := l.Estimate(); got < want || got > want+want/8+1024 {
					t.Errorf("%s: quantile %v of %d is %v, estimate %v", name, q, n, want, got)
				}
			}
		}
	}
}

func TestEstimateForgets(t *testing.T) {
	l := hedge.NewLatencies(0.95)
	for range 100_000 {
		l.Observe(10 * ms)
	}
	for range 2000 {
		l.Observe(100 * ms)
	}
	if got := l.Estimate(); got < 100*ms || got > 113*ms {
		t.Errorf("after 2000 calls that took longer: %v", got)
	}
	for range 2000 {
		l.Observe(ms)
	}
	if got := l.Estimate(); got < ms || got > ms*9/8 {
		t.Errorf("after 2000 calls that took less: %v", got)
	}
}

func TestEstimateOfExtremes(t *testing.T) {
	for _, tc := range []struct{ d, least, most time.Duration }{
		{-time.Second, 0, 1024},
		{0, 0, 1024},
		{1, 1, 1024},
		{time.Hour, 4 * time.Minute, 5 * time.Minute}, // the longest
		{math.MaxInt64, 4 * time.Minute, 5 * time.Minute},
	} {
		l := hedge.NewLatencies(0.5)
		for i := range hedge.MinObserved {
			if got := l.Estimate(); got != 0 {
				t.Fatalf("after %d: %v", i, got)
			}
			l.Observe(tc.d)
		}
		if got := l.Estimate(); got < tc.least || got > tc.most {
			t.Errorf("of %v: %v, want %v to %v", tc.d, got, tc.least, tc.most)
		}
	}
}

func TestLatenciesConcurrentSafe(t *testing.T) {
	l := hedge.NewLatencies(0.5)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				l.Observe(10 * ms)
				l.Estimate()
			}
		})
	}
	wg.Wait()
	if got := l.Estimate(); got < 10*ms || got > 12*ms {
		t.Errorf("estimate %v", got)
	}
}
