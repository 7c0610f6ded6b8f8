// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
)

// trouble is that of one fault, as the flag has it.
func trouble(t *testing.T, fault string) *chaos.Trouble {
	t.Helper()
	faults, err := chaos.Parse("payment=" + fault)
	if err != nil {
		t.Fatal(err)
	}
	return chaos.Begin(faults[chaos.Payment])
}

func TestHealthy(t *testing.T) {
	healthy := chaos.Begin(chaos.Fault{})
	if err := healthy.Strike(t.Context()); err != nil || healthy.Lose() {
		t.Errorf("the zero Fault: %v, lost %v", err, healthy.Lose())
	}
}

func TestSlowAndFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sick := chaos.Begin(chaos.Fault{Slow: chaos.Slow{Delay: time.Second, Fraction: 1}, FailRate: 1})
		if err := sick.Strike(t.Context()); !errors.Is(err, chaos.ErrInjected) {
			t.Errorf("Strike = %v, want ErrInjected", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Strike took %v, want 1s", took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if err := trouble(t, "slow:1h").Strike(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Strike = %v, want the context's error", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("Strike outlived its context: %v", took)
		}
	})
}

func TestFractions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 2000
		slow, failing, losing := trouble(t, "slow:1s/0.1"), trouble(t, "fail:0.1"), trouble(t, "lose:0.1")
		var delayed, failed, lost int
		for range calls {
			start := time.Now()
			if err := slow.Strike(t.Context()); err != nil {
				t.Fatal(err)
			}
			if time.Since(start) == time.Second {
				delayed++
			}
			if failing.Strike(t.Context()) != nil {
				failed++
			}
			if losing.Lose() {
				lost++
			}
		}
		for what, n := range map[string]int{"delayed": delayed, "failed": failed, "lost": lost} {
			if n < calls/20 || n > calls/5 {
				t.Errorf("%d of %d calls %s, want about a tenth", n, calls, what)
			}
		}
	})
}

func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flapping := trouble(t, "flap:2s/3s")
		for range 2 {
			for second, fails := range []bool{true, true, false, false, false} {
				if err := flapping.Strike(t.Context()); (err != nil) != fails {
					t.Errorf("second %d: %v, want failing = %v", second, err, fails)
				}
				time.Sleep(time.Second)
			}
		}
	})
}

func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := trouble(t, "retry-after:2s")
		for range 2 {
			for second, left := range []time.Duration{2 * time.Second, time.Second, 0, 0} {
				err := away.Strike(t.Context())
				e, _ := errors.AsType[*chaos.AwayError](err)
				switch {
				case left == 0 && err != nil:
					t.Errorf("second %d: %v, want it to be there", second, err)
				case left > 0 && (e == nil || e.For != left || !errors.Is(err, chaos.ErrInjected)):
					t.Errorf("second %d: %v, want it to be away for another %v", second, err, left)
				}
				time.Sleep(time.Second)
			}
		}
	})
}

// offer sends calls at a rate for a time, each with a second's patience, and returns
// how many were served in time, and the longest that one of those took.
func offer(t *testing.T, to *chaos.Trouble, perSecond int, d time.Duration) (served int, longest time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range int(d.Seconds() * float64(perSecond)) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if to.Strike(ctx) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			served++
			longest = max(longest, time.Since(start))
		})
		time.Sleep(time.Second / time.Duration(perSecond))
	}
	wg.Wait()
	return served, longest
}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A capacity of 40 a second is 4 workers who take 100 ms for a call.
		if served, longest := offer(t, trouble(t, "overload:40"), 30, 10*time.Second); served != 300 || longest != 100*time.Millisecond {
			t.Errorf("below capacity: %d of 300 served, the slowest in %v; want all in 100ms", served, longest)
		}
		// At three times the capacity the first second's calls wait longer and
		// longer, and those after them wait in vain, behind work for nobody.
		collapsing := trouble(t, "overload:40")
		if served, _ := offer(t, collapsing, 120, 10*time.Second); served > 80 {
			t.Errorf("at three times the capacity: %d of 1200 served in time, want a collapse", served)
		}
		if served, _ := offer(t, collapsing, 4, time.Second); served != 0 {
			t.Errorf("%d served while there is a backlog, want none", served)
		}
		start := time.Now()
		if err := collapsing.Strike(t.Context()); err != nil { // it is served in the end
			t.Errorf("Strike = %v", err)
		}
		if took := time.Since(start); took < 2*time.Second || took > chaos.MaxBacklog {
			t.Errorf("the backlog lasts %v, want it to be there and at most %v", took, chaos.MaxBacklog)
		}
		if served, _ := offer(t, collapsing, 30, time.Second); served != 30 {
			t.Errorf("%d of 30 served once the backlog is gone, want all", served)
		}
	})
}

func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := trouble(t, "overload:4") // a second for each of four workers
		var wg sync.WaitGroup
		var refused int
		var mu sync.Mutex
		for range 100 {
			wg.Go(func() {
				if errors.Is(full.Strike(t.Context()), chaos.ErrInjected) {
					mu.Lock()
					defer mu.Unlock()
					refused++
				}
			})
		}
		wg.Wait()
		if want := 100 - 6*chaos.Workers; refused != want { // six seconds: five that wait, and one at work
			t.Errorf("%d refused, want %d", refused, want)
		}
	})
}
