// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

// fake is a Redis that grants everything, later than at once and unless told to
// fail.
type fake struct {
	redis.Scripter
	mu      sync.Mutex
	err     error                 // of every answer
	down    func(key string) bool // which keys are not answered; nil is none
	latency time.Duration
	asked   int
}

func (f *fake) EvalSha(ctx context.Context, _ string, keys []string, args ...any) *redis.Cmd {
	f.mu.Lock()
	f.asked++
	err, latency := f.err, f.latency
	if err == nil && f.down != nil && f.down(keys[0]) {
		err = errors.New("connection refused")
	}
	f.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return redis.NewCmdResult(nil, err)
	}
	return redis.NewCmdResult([]any{int64(args[1].(int)), int64(0)}, nil)
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// observed collects what an observer is told.
type observed struct{ degraded []resilience.Degradation }

func (o *observed) option() redislimit.Option {
	return redislimit.WithObserver(resilience.Observer{
		Degraded: func(_ context.Context, e resilience.Degradation) { o.degraded = append(o.degraded, e) },
	})
}

// TestRedisGoesAwayAndComesBack: after three failures nobody asks, but for one look
// a second in the background; observers are told once of each turn.
func TestRedisGoesAwayAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, o := &fake{}, &observed{}
		l := newLimiter(t, f, 100, unlimited, o.option())
		// calls makes n calls, 10 ms apart, and wants none to be refused or to wait.
		calls := func(n int) {
			for range n {
				start := time.Now()
				if err := l.Allow(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != 0 {
					t.Fatalf("a call waited for %v", d)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		calls(10)
		down := errors.New("connection refused")
		f.set(func(f *fake) { f.err = down })
		calls(2)
		if s := l.Snapshot(); s.Away || len(o.degraded) != 0 || !errors.Is(s.LastErr, down) {
			t.Fatalf("after two failures: %+v, told of %v", s, o.degraded)
		}
		f.set(func(f *fake) { f.err = nil })
		calls(1)
		f.set(func(f *fake) { f.err = down })
		calls(2)
		if l.Snapshot().Away {
			t.Fatal("away after two failures, an answer and two failures")
		}
		lost := time.Now()
		calls(1000) // 10 s
		s := l.Snapshot()
		if !s.Away || !s.Since.Equal(lost) || !errors.Is(s.Err, down) {
			t.Errorf("%+v, want away since %v", s, lost)
		}
		if e := o.degraded; len(e) != 1 || e[0].Policy != resilience.PolicyRateLimit || e[0].Name != "orders" || !e[0].Since.Equal(lost) || !errors.Is(e[0].Err, down) {
			t.Errorf("told of %+v, want of one loss", e)
		}
		// 11 answered, 5 failures, and looks at 1 to 9 s.
		if want := 11 + 5 + 9; f.asked != want || s.Counts.Asked != uint64(want) || s.Counts.Failed != 5+9 {
			t.Errorf("%d requests, %+v; want %d, 14 failed", f.asked, s.Counts, want)
		}
		if s.Counts.AdmittedAway != 4+1000 {
			t.Errorf("%d calls admitted without Redis, want %d", s.Counts.AdmittedAway, 4+1000)
		}

		f.set(func(f *fake) { f.err = nil })
		calls(2) // the first has it looked after, the second learns the result
		if s := l.Snapshot(); s.Away || !s.Since.IsZero() || s.Err != nil {
			t.Errorf("%+v, want back", s)
		}
		if e := o.degraded; len(e) != 2 || !e[1].Since.IsZero() || e[1].Err != nil {
			t.Errorf("told of %+v, want of one return", e)
		}
		before := f.asked
		calls(10)
		if f.asked != before+10 {
			t.Errorf("%d requests for 10 calls", f.asked-before)
		}
	})
}

// TestHangingRedisIsBounded: a Redis that does not answer holds three calls for the
// timeout, and nobody after that.
func TestHangingRedisIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Hour}
		l := newLimiter(t, f, 100, unlimited, redislimit.WithTimeout(20*time.Millisecond))
		var waited time.Duration
		for range 500 {
			start := time.Now()
			if err := l.Allow(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			waited += time.Since(start)
			time.Sleep(10 * time.Millisecond)
		}
		if waited != 60*time.Millisecond {
			t.Errorf("500 calls waited for %v, want 60ms", waited)
		}
		time.Sleep(time.Second) // a look may be under way
	})
}

// TestCallersDoNotMakeRedisSeemAway: a call whose caller is gone waits for the
// answer all the same, and Redis is not to blame.
func TestCallersDoNotMakeRedisSeemAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, &fake{latency: 10 * time.Millisecond}, 100, unlimited)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := l.Allow(ctx, key); err != nil {
				t.Error(err)
			}
			cancel()
		}
		if s := l.Snapshot(); s.Away || s.Counts.Failed != 0 || s.Counts.Admitted != 10 {
			t.Errorf("%+v, want 10 admitted and no failures", s)
		}
	})
}

// TestAwayLocalLimitHolds: without Redis each process has its token bucket.
func TestAwayLocalLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{err: errors.New("READONLY You can't write against a read only replica.")}
		l := newLimiter(t, f, 600) // 10 a second, 60 at once
		admitted := 0
		for range 6000 {
			if refused(t, l.Allow(t.Context(), key)) == nil {
				admitted++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if want := 60 + 10*60; admitted < want-1 || admitted > want {
			t.Errorf("%d calls admitted in a minute, want %d", admitted, want)
		}
	})
}

// TestPartOfAClusterIsAway: keys of a node that is gone are limited locally, all
// others as before, and observers hear of the first loss and the last return.
func TestPartOfAClusterIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := func(key string) bool {
			_, tag, _ := strings.Cut(key, "{")
			tag, _, _ = strings.Cut(tag, "}")
			n, err := strconv.Atoi(tag)
			if err != nil || n < 0 || n > 63 {
				t.Errorf("key %q has no hash tag of 0 to 63", key)
			}
			return n%3 == 0
		}
		f, o := &fake{}, &observed{}
		l := newLimiter(t, f, 10, unlimited, o.option())
		round := func() redislimit.Counts {
			before := l.Snapshot().Counts
			for i := range 900 {
				if err := l.Allow(t.Context(), ratelimit.Key{Client: strconv.Itoa(i)}); err != nil {
					t.Fatal(err)
				}
			}
			after := l.Snapshot().Counts
			return redislimit.Counts{
				Admitted: after.Admitted - before.Admitted, AdmittedAway: after.AdmittedAway - before.AdmittedAway,
				Asked: after.Asked - before.Asked, Failed: after.Failed - before.Failed,
			}
		}
		round()
		f.set(func(f *fake) { f.down = gone })
		lost := round()
		if lost.Failed == 0 || lost.Failed > 3*22 {
			t.Errorf("%+v, want at most three failures in each of 22 partitions", lost)
		}
		if got := round(); got.Failed != 0 || got.Admitted != lost.Admitted || got.AdmittedAway < 200 || got.AdmittedAway > 400 {
			t.Errorf("%+v, want about a third without Redis", got)
		}
		// One call of any key has all parts looked after.
		look := func() {
			time.Sleep(time.Second)
			_ = l.Allow(t.Context(), key)
			synctest.Wait()
			_ = l.Allow(t.Context(), key)
		}
		f.set(func(f *fake) { f.down = func(key string) bool { return gone(key) && strings.Contains(key, "0}") } })
		look()
		if !l.Snapshot().Away || len(o.degraded) != 1 {
			t.Errorf("with 0, 30 and 60 away: away %v, told of %+v", l.Snapshot().Away, o.degraded)
		}
		f.set(func(f *fake) { f.down = nil })
		look()
		if l.Snapshot().Away {
			t.Error("still away")
		}
		if got := round(); got.Admitted != 900 || got.AdmittedAway != 0 {
			t.Errorf("%+v, want all 900 admitted by Redis", got)
		}
		if e := o.degraded; len(e) != 2 || e[0].Since.IsZero() || !e[1].Since.IsZero() {
			t.Errorf("told of %+v, want of one loss and one return", e)
		}
	})
}

// TestBatchesThatOverlap: two calls that ask at the same time get a batch each, and
// what is left of them is used together, until the first is too old.
func TestBatchesThatOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: 40 * time.Millisecond}
		l := newLimiter(t, f, 100, unlimited, redislimit.WithBatch(5, time.Second))
		overlap := func() {
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { _ = l.Allow(t.Context(), key) })
				time.Sleep(30 * time.Millisecond)
			}
			wg.Wait()
		}
		overlap()
		for range 8 {
			_ = l.Allow(t.Context(), key)
		}
		if f.asked != 2 {
			t.Errorf("%d requests for ten calls in batches of five, want 2", f.asked)
		}
		overlap()
		start := f.asked
		time.Sleep(930 * time.Millisecond) // it is 1 s since the first began
		_ = l.Allow(t.Context(), key)
		if f.asked != start+1 {
			t.Error("permits were used that are older than a second")
		}
	})
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	f := &fake{}
	l := newLimiter(t, f, 1_000_000, redislimit.WithMaxKeys(5), redislimit.WithBatch(3, time.Second), redislimit.WithTimeout(time.Millisecond), redislimit.WithRecheck(time.Millisecond))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				f.set(func(f *fake) {
					f.err = nil
					if j/50%2 == 1 {
						f.err = errors.New("down")
					}
				})
				_ = l.Allow(t.Context(), ratelimit.Key{Client: strconv.Itoa(i * j % 10)})
				_ = l.Snapshot()
			}
		})
	}
	wg.Wait()
	c := l.Snapshot().Counts
	if n := c.Admitted + c.AdmittedAway + c.RefusedLocal + c.RefusedShared; n != 8*500 {
		t.Errorf("%+v add up to %d, want %d", c, n, 8*500)
	}
}
