// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

// TestNeverMoreThanTheLimit lets several processes call as they like for minutes:
// in no 60 s, wherever they begin, more than the limit are admitted, and the limit
// can be used.
func TestNeverMoreThanTheLimit(t *testing.T) {
	for _, tc := range []struct {
		name      string
		processes int
		limit     int
		opts      []redislimit.Option
		perSecond float64 // offered to each process
		least     float64 // of the limit, used
	}{
		{"steady", 3, 100, nil, 2, 0.97},
		{"far too much", 3, 100, nil, 50, 0.97},
		{"limit one", 2, 1, nil, 1, 0.97},
		{"batches", 3, 600, []redislimit.Option{redislimit.WithBatch(10, time.Second)}, 20, 0.9},
		{"batches held for long", 3, 100, []redislimit.Option{redislimit.WithBatch(7, 20*time.Second)}, 3, 0.5},
		{"coarse slices", 3, 50, []redislimit.Option{redislimit.WithWindow(time.Minute, 5*time.Second)}, 2, 0.85},
		{"one slice", 3, 50, []redislimit.Option{redislimit.WithWindow(time.Minute, time.Minute)}, 2, 0.3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const d = 10 * time.Minute
				redis := bubble(t)
				var mu sync.Mutex
				var admitted []time.Time
				var wg sync.WaitGroup
				for i := range tc.processes {
					l := newLimiter(t, dial(t, redis), tc.limit, unlimited, redislimit.Options(tc.opts...))
					random := rand.New(rand.NewPCG(1, uint64(i)))
					wg.Go(func() {
						for end := time.Now().Add(d); time.Now().Before(end); {
							time.Sleep(time.Duration(random.ExpFloat64() / tc.perSecond * float64(time.Second)))
							if refused(t, l.Allow(t.Context(), key)) == nil {
								mu.Lock()
								admitted = append(admitted, time.Now())
								mu.Unlock()
							}
						}
						if s := l.Snapshot(); s.Away || s.Counts.Failed > 0 {
							t.Errorf("Redis seemed away: %+v", s)
						}
					})
				}
				wg.Wait()
				if most := mostIn(time.Minute, admitted); most > tc.limit {
					t.Errorf("%d calls in 60s, want at most %d", most, tc.limit)
				}
				used := float64(len(admitted)) / (d.Minutes() * float64(tc.limit))
				t.Logf("%.1f%% of the limit used", 100*used)
				if used < tc.least {
					t.Errorf("%.1f%% of the limit used, want at least %.0f%%", 100*used, 100*tc.least)
				}
			})
		})
	}
}

// TestRetryAfterIsExact: a call that comes when it was told to is admitted, and one
// that comes a slice earlier is not.
func TestRetryAfterIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		c := dial(t, m)
		l := newLimiter(t, c, 3, unlimited)
		start := time.Now()
		for range 3 {
			if err := l.Allow(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		e := refused(t, l.Allow(t.Context(), key))
		// The first call's slice is over after 100 ms, and 601 slices later it is out
		// of the window.
		if want := start.Add(60200 * time.Millisecond).Sub(time.Now()); e == nil || e.RetryAfter != want || e.Reason != "rate limited" {
			t.Fatalf("refused with %+v, want for %v", e, want)
		}
		time.Sleep(e.RetryAfter - 100*time.Millisecond)
		// Another process asks Redis itself.
		if early := refused(t, newLimiter(t, c, 3, unlimited).Allow(t.Context(), key)); early == nil || early.RetryAfter != 100*time.Millisecond {
			t.Errorf("100ms too early: %+v, want a refusal for 100ms", early)
		}
		time.Sleep(100 * time.Millisecond)
		if err := l.Allow(t.Context(), key); err != nil {
			t.Errorf("in time: %v", err)
		}
		if refused(t, l.Allow(t.Context(), key)) == nil {
			t.Error("a second call was admitted, want only as many as have left the window")
		}
	})
}

// TestRefusedKeyCostsRedisNothing: what is known to be refused is not asked for.
func TestRefusedKeyCostsRedisNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, dial(t, bubble(t)), 1, unlimited)
		for range 100 {
			_ = l.Allow(t.Context(), key)
			time.Sleep(10 * time.Millisecond)
		}
		if got := l.Snapshot().Counts; got.Asked != 2 || got.RefusedShared != 99 || got.Admitted != 1 {
			t.Errorf("%+v, want 1 admitted, 99 refused, 2 requests", got)
		}
	})
}

func TestBurstsAreLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, dial(t, bubble(t)), 600) // 10 a second, 60 at once
		for i := range 100 {
			e := refused(t, l.Allow(t.Context(), key))
			if (e == nil) != (i < 60) {
				t.Fatalf("call %d: %v", i, e)
			}
			if e != nil && (e.Reason != "burst limited" || e.RetryAfter != 100*time.Millisecond) {
				t.Fatalf("refused with %+v, want for 100ms", e)
			}
		}
		if got := l.Snapshot().Counts; got.Asked != 60 || got.RefusedLocal != 40 {
			t.Errorf("%+v, want 60 requests, 40 refused", got)
		}
		time.Sleep(100 * time.Millisecond)
		if err := l.Allow(t.Context(), key); err != nil {
			t.Error(err)
		}
	})
}

// TestKeysAreApart: each client and each method has its own count, whatever their
// names.
func TestKeysAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		l := newLimiter(t, dial(t, m), 1)
		keys := []ratelimit.Key{
			{}, {Client: "ab", Method: "c"}, {Client: "a", Method: "bc"}, {Client: "abc"}, {Method: "abc"},
			{Client: "a}{b\r\n*1", Method: "\x00"}, {Client: strings.Repeat("x", 128)},
		}
		for _, k := range keys {
			if err := l.Allow(t.Context(), k); err != nil {
				t.Errorf("%q: %v", k, err)
			}
		}
		for _, k := range keys {
			if refused(t, l.Allow(t.Context(), k)) == nil {
				t.Errorf("%q admitted twice", k)
			}
		}
		other, err := redislimit.New("stock", dial(t, m), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Allow(t.Context(), keys[1]); err != nil {
			t.Errorf("another limiter's key was counted: %v", err)
		}
		if refused(t, l.Allow(t.Context(), ratelimit.Key{Client: strings.Repeat("x", 1000)})) == nil {
			t.Error("a key of 1000 bytes is not the one of its first 128")
		}
		for _, k := range m.Keys() {
			if !strings.HasPrefix(k, "fairlead:limit:{") || len(k) > 80 || strings.Contains(k, "abc") || strings.ContainsAny(k, "\r\n\x00") {
				t.Errorf("key %q in Redis", k)
			}
		}
	})
}

func TestKeysExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		l := newLimiter(t, dial(t, m), 2, unlimited)
		for range 3 {
			_ = l.Allow(t.Context(), key)
			time.Sleep(20 * time.Second)
		}
		// The second call was 40 s ago; the third was refused and does not count.
		if got, want := m.TTL(m.Keys()[0]).Round(time.Millisecond), 60200*time.Millisecond-40*time.Second; got != want {
			t.Errorf("TTL %v, want %v", got, want)
		}
		time.Sleep(21 * time.Second)
		if err := l.Allow(t.Context(), ratelimit.Key{}); err != nil {
			t.Fatal(err)
		}
		if got := m.Keys(); len(got) != 1 {
			t.Errorf("keys %q, want only the one in use", got)
		}
	})
}

func TestMemoryOfKeysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, dial(t, bubble(t)), 1, redislimit.WithMaxKeys(2))
		a, b, c := ratelimit.Key{Client: "a"}, ratelimit.Key{Client: "b"}, ratelimit.Key{Client: "c"}
		for _, k := range []ratelimit.Key{a, b, a, c} {
			_ = l.Allow(t.Context(), k)
		}
		if s := l.Snapshot(); s.Keys != 2 || s.MaxKeys != 2 || s.Evicted != 1 {
			t.Errorf("%+v, want 2 keys of 2, 1 evicted", s)
		}
		// b was forgotten here, and its count in Redis was not.
		if refused(t, l.Allow(t.Context(), b)) == nil {
			t.Error("a forgotten key was admitted again")
		}
	})
}

// TestServersClock: the window is by the clock of Redis, and survives its jumps.
func TestServersClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		l := newLimiter(t, dial(t, m), 2, unlimited)
		allow := func(k ratelimit.Key) bool { return refused(t, l.Allow(t.Context(), k)) == nil }
		now := time.Now()
		at := func(d time.Duration) { m.SetTime(now.Add(d)) }

		at(0)
		if !allow(key) {
			t.Fatal("first call refused")
		}
		at(-30 * time.Second)
		if !allow(key) {
			t.Error("after a jump back: refused, though the limit is 2")
		}
		if allow(key) {
			t.Error("after a jump back: a third call admitted")
		}
		time.Sleep(2 * time.Minute) // what the limiter itself remembers is over
		at(59 * time.Second)
		if allow(key) {
			t.Error("59s later: a third call admitted")
		}
		time.Sleep(2 * time.Minute)
		at(61 * time.Second)
		if !allow(key) || !allow(key) || allow(key) {
			t.Error("61s later: want two more calls, not three")
		}
		time.Sleep(2 * time.Minute)
		at(-24 * time.Hour)
		if !allow(key) {
			t.Error("a clock that had been a day ahead must not close a key for a day")
		}
	})
}

// TestScriptIsLoadedAgain: a Redis that has forgotten the script gets it once more.
func TestScriptIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		c := dial(t, m)
		l := newLimiter(t, c, 100)
		for range 2 {
			if err := l.Allow(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if err := c.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if s := l.Snapshot(); s.Counts.Failed != 0 || s.Counts.Admitted != 2 {
			t.Errorf("%+v, want 2 admitted and no failures", s)
		}
	})
}

// TestForeignValue: a key that holds something else is a failure, and no outage.
func TestForeignValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := bubble(t)
		c := dial(t, m)
		l := newLimiter(t, c, 2, unlimited)
		if err := l.Allow(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		name := m.Keys()[0]
		if err := c.Set(t.Context(), name, "short", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.Allow(t.Context(), key); err != nil {
			t.Error(err)
		}
		if got := l.Snapshot().Counts; got.Failed != 0 {
			t.Errorf("%+v: a string of another length is begun anew", got)
		}
		c.Del(t.Context(), name)
		c.LPush(t.Context(), name, "a list")
		if err := l.Allow(t.Context(), key); err != nil {
			t.Error(err)
		}
		if s := l.Snapshot(); s.Counts.Failed != 1 || s.Counts.AdmittedAway != 1 || s.LastErr == nil || !strings.Contains(s.LastErr.Error(), "WRONGTYPE") {
			t.Errorf("%+v, want one failure, WRONGTYPE", s)
		}
	})
}

// reply is a client whose every answer is the same.
type reply struct {
	redis.Scripter
	answer any
}

func (r reply) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	return redis.NewCmdResult(r.answer, nil)
}

// FuzzReply: whatever Redis answers, no call fails for it, and none is refused for
// longer than the window.
func FuzzReply(f *testing.F) {
	f.Add(2, int64(1), int64(0))
	f.Add(2, int64(0), int64(60200))
	f.Add(2, int64(0), int64(60201))
	f.Add(2, int64(-1), int64(-1))
	f.Add(1, int64(9), int64(0))
	f.Add(0, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, n int, a, b int64) {
		answer := []any{a, b}
		l := newLimiter(t, reply{answer: answer[:max(0, min(n, 2))]}, 10, redislimit.WithBatch(5, time.Second))
		for range 5 {
			if e := refused(t, l.Allow(t.Context(), key)); e != nil && e.RetryAfter > 61200*time.Millisecond {
				t.Errorf("refused for %v", e.RetryAfter)
			}
		}
	})
}
