// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mustBudget(t, retry.WithShare(0.25), retry.WithFloor(2), retry.WithWindow(time.Second))
		want := func(what string, left float64) {
			t.Helper()
			if got := b.Remaining(); got != left {
				t.Errorf("%s: %v left, want %v", what, got, left)
			}
		}
		take := func(n int) (taken int) {
			for range n {
				if b.Withdraw() {
					taken++
				}
			}
			return taken
		}
		want("at first, the floor", 2)
		for range 20 {
			b.Deposit()
		}
		want("a quarter of 20, which is more than the floor", 5)
		if got := take(7); got != 5 {
			t.Errorf("took %d, want 5", got)
		}
		want("all taken", 0)
		time.Sleep(900 * ms)
		want("still in the window", 0)
		b.Deposit()
		want("one more call is not enough for one more retry", 0.25)
		time.Sleep(100 * ms)
		want("out of the window, all but the last call", 2)
	})
}

// REQ-R2: in no window up to a retry, and never in all, are there more retries than the
// share and the floor allow, and none is refused that they allow. Against a model that
// remembers everything.
func TestBudgetNeverExceedsItsShare(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				share := float64(rnd.IntN(5)) / 8
				window := []time.Duration{100 * ms, time.Second, 10 * time.Second}[rnd.IntN(3)]
				floor := float64(rnd.IntN(4)) / window.Seconds()
				b := mustBudget(t, retry.WithShare(share), retry.WithFloor(floor), retry.WithWindow(window))
				calls, retries := map[uint32]int{}, map[uint32]int{}
				in := func(m map[uint32]int, end uint32) (n int) {
					for i := range uint32(10) {
						n += m[end-i]
					}
					return n
				}
				allowed := func(end uint32) float64 {
					return max(share*float64(in(calls, end)), floor*window.Seconds())
				}
				total, paid := 0, 0.0
				for range 5000 {
					epoch := b.Epoch()
					if rnd.IntN(3) > 0 {
						b.Deposit()
						calls[epoch]++
						paid += share
					} else {
						fits := float64(in(retries, epoch)+1) <= allowed(epoch)
						if got := b.Withdraw(); got != fits {
							t.Fatalf("%d retries to %d calls, at most %v: withdrew %v", in(retries, epoch), in(calls, epoch), allowed(epoch), got)
						} else if got {
							retries[epoch]++
							total++
						}
					}
					if floor == 0 && float64(total) > paid {
						t.Fatalf("%d retries in all, %v are paid for", total, paid)
					}
					if rnd.IntN(4) == 0 {
						time.Sleep(time.Duration(rnd.Int64N(int64(window / 15))))
					}
				}
				for end := range retries {
					if n := float64(in(retries, end)); n > allowed(end) {
						t.Fatalf("%v retries in a window that allows %v", n, allowed(end))
					}
				}
			})
		})
	}
}

// Many at a time get no more than one after the other would.
func TestBudgetConcurrentSafe(t *testing.T) {
	b := mustBudget(t, retry.WithFloor(0), retry.WithWindow(time.Hour))
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				b.Deposit()
				if b.Withdraw() {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for b.Withdraw() {
		taken.Add(1)
	}
	if got := taken.Load(); got != 800 {
		t.Errorf("%d retries to 8000 calls, want 800", got)
	}

	// The last token is what they compete for.
	budgets := make([]*retry.Budget, 40_000)
	for i := range budgets {
		budgets[i] = mustBudget(t, retry.WithShare(0), retry.WithFloor(0.001), retry.WithWindow(1000*time.Second))
	}
	taken.Store(0)
	arrived := make([]atomic.Int64, len(budgets))
	for range 2 {
		wg.Go(func() {
			for i, b := range budgets {
				for arrived[i].Add(1); arrived[i].Load() < 2; {
					runtime.Gosched()
				}
				if b.Withdraw() {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := taken.Load(); got != 40_000 {
		t.Errorf("%d retries from 40000 budgets of one, want 40000", got)
	}
}
