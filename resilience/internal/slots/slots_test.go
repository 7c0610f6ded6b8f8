// SPDX-License-Identifier: Apache-2.0

package slots_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/resilience/internal/slots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func usage(t *testing.T, s *slots.Slots, inFlight, queued int) {
	t.Helper()
	if f, q := s.Usage(); f != inFlight || q != queued {
		t.Errorf("%d in flight, %d queued; want %d, %d", f, q, inFlight, queued)
	}
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(1, 5)
		held, _ := s.Try()
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				p, v := s.Acquire(t.Context(), time.Minute)
				if v != slots.Granted {
					t.Errorf("waiter %d: verdict %v", i, v)
				}
				order = append(order, i)
				p.Done()
			})
			synctest.Wait() // each is in its place before the next comes
		}
		usage(t, s, 1, 5)
		if _, v := s.Acquire(t.Context(), time.Minute); v != slots.Full {
			t.Errorf("a sixth waiter: verdict %v, want Full", v)
		}
		held.Done()
		wg.Wait()
		if want := []int{0, 1, 2, 3, 4}; !slices.Equal(order, want) {
			t.Errorf("served in order %v, want %v", order, want)
		}
		usage(t, s, 0, 0)
	})
}

func TestNobodyOvertakesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(1, 1)
		held, _ := s.Try()
		var p slots.Permit
		go func() { p, _ = s.Acquire(t.Context(), time.Minute) }()
		synctest.Wait()
		held.Done()
		if _, ok := s.Try(); ok {
			t.Error("Try took the slot of one who waited")
		}
		synctest.Wait()
		p.Done()
		usage(t, s, 0, 0)
	})
}

func TestWaitEndsExactly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(1, 2)
		held, _ := s.Try()
		start := time.Now()
		if _, v := s.Acquire(t.Context(), 50*time.Millisecond); v != slots.Expired {
			t.Errorf("verdict %v, want Expired", v)
		}
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("waited %v, want 50ms", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, v := s.Acquire(ctx, 50*time.Millisecond); v != slots.Ended {
			t.Errorf("verdict %v, want Ended", v)
		}
		if d := time.Since(start); d != 20*time.Millisecond {
			t.Errorf("waited %v, want 20ms", d)
		}
		usage(t, s, 1, 0)
		held.Done()
		usage(t, s, 0, 0)
	})
}

func TestLeavingTheMiddleKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(1, 3)
		held, _ := s.Try()
		var order []int
		var wg sync.WaitGroup
		middle, leave := context.WithCancel(t.Context())
		for i, ctx := range []context.Context{t.Context(), middle, t.Context()} {
			wg.Go(func() {
				p, v := s.Acquire(ctx, time.Minute)
				if v == slots.Granted {
					order = append(order, i)
				}
				p.Done()
			})
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		usage(t, s, 1, 2)
		held.Done()
		wg.Wait()
		if want := []int{0, 2}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		usage(t, s, 0, 0)
	})
}

// A slot granted in the instant in which the context ends is not lost.
func TestGrantAndEndInTheSameInstant(t *testing.T) {
	for range 200 {
		s := slots.New(1, 1)
		held, _ := s.Try()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			p, _ := s.Acquire(ctx, time.Minute)
			p.Done()
		})
		wg.Go(cancel)
		wg.Go(held.Done)
		wg.Wait()
		usage(t, s, 0, 0)
	}
}

// The same, with the slot granted before the waiter that was woken by its context
// comes to leave.
func TestGrantedAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 { // who is faster is left to chance
			s := slots.New(1, 1)
			held, _ := s.Try()
			ctx, cancel := context.WithCancel(t.Context())
			var p slots.Permit
			go func() { p, _ = s.Acquire(ctx, time.Minute) }()
			synctest.Wait()
			cancel()
			held.Done()
			synctest.Wait()
			p.Done()
			usage(t, s, 0, 0)
		}
	})
}

func TestLeavingTheEndKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slots.New(1, 2)
		held, _ := s.Try()
		var order []int
		var wg sync.WaitGroup
		last, leave := context.WithCancel(t.Context())
		defer leave()
		for i, ctx := range []context.Context{t.Context(), last, t.Context()} {
			wg.Go(func() {
				p, v := s.Acquire(ctx, time.Minute)
				if v == slots.Granted {
					order = append(order, i)
				}
				p.Done()
			})
			synctest.Wait()
			if i == 1 {
				leave()
				synctest.Wait()
			}
		}
		held.Done()
		wg.Wait()
		if want := []int{0, 2}; !slices.Equal(order, want) {
			t.Errorf("served %v, want %v", order, want)
		}
		usage(t, s, 0, 0)
	})
}

func TestDoneTwiceReturnsOneSlot(t *testing.T) {
	s := slots.New(2, 0)
	a, _ := s.Try()
	b, _ := s.Try()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(a.Done)
	}
	wg.Wait()
	usage(t, s, 1, 0)
	b.Done()
	usage(t, s, 0, 0)
	new(slots.Permit).Done()
}

func TestNeverMoreThanMax(t *testing.T) {
	const most = 4
	s := slots.New(most, 1000)
	var now, peak atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(200))*time.Microsecond)
				p, v := s.Acquire(ctx, time.Duration(rand.IntN(200))*time.Microsecond)
				if v == slots.Granted {
					n := now.Add(1)
					for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
					}
					now.Add(-1)
				}
				p.Done()
				cancel()
			}
		})
	}
	wg.Wait()
	if p := peak.Load(); p > most {
		t.Errorf("%d at once, want at most %d", p, most)
	}
	usage(t, s, 0, 0)
}
