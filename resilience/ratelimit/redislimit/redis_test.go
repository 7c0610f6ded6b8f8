// SPDX-License-Identifier: Apache-2.0

package redislimit_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/ratelimit/redislimit"
)

func connect(t testing.TB, addrs ...string) redis.UniversalClient {
	t.Helper()
	c := redislimit.NewClient(redis.UniversalOptions{Addrs: addrs})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Processes of the test run for a while with a window that is short enough for it.
const (
	processEnv   = "REDISLIMIT_PROCESS"
	processLimit = 40
	processTime  = 5 * time.Second
	shortWindow  = 2 * time.Second
)

func short() redislimit.Option {
	// On a machine with a lot to do, an answer may take longer than usual.
	return redislimit.Options(unlimited, redislimit.WithWindow(shortWindow, 100*time.Millisecond), redislimit.WithTimeout(time.Second))
}

// process is one of several. It calls much too often and prints when it may.
func process(addr string) {
	l, err := redislimit.New("orders", redislimit.NewClient(redis.UniversalOptions{Addrs: []string{addr}}), processLimit, short())
	if err != nil {
		panic(err)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	tick := time.NewTicker(5 * time.Millisecond)
	for end := time.Now().Add(processTime); time.Now().Before(end); <-tick.C {
		if l.Allow(context.Background(), key) == nil {
			fmt.Fprintln(out, time.Now().UnixNano())
		}
	}
	if s := l.Snapshot(); s.Counts.AdmittedAway > 0 {
		fmt.Fprintln(out, "away:", s.LastErr)
	}
}

// TestSeveralProcesses lets processes share a real Redis: in no window are there
// more calls of all of them than the limit.
func TestSeveralProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	srv := startServer(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var outputs [3]bytes.Buffer
	var wg sync.WaitGroup
	for i := range outputs {
		wg.Go(func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), processEnv+"="+srv.addr)
			cmd.Stdout, cmd.Stderr = &outputs[i], os.Stderr
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var admitted []time.Time
	for i := range outputs {
		for line := range strings.Lines(outputs[i].String()) {
			ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil {
				t.Fatalf("process %d: %s", i, line)
			}
			admitted = append(admitted, time.Unix(0, ns))
		}
	}
	most := mostIn(shortWindow, admitted)
	t.Logf("%d calls in %v, at most %d in %v", len(admitted), processTime, most, shortWindow)
	if most > processLimit || len(admitted) < processLimit {
		t.Errorf("%d calls in %v, %d in all; want at most %d, and that many used", most, shortWindow, len(admitted), processLimit)
	}
}

// caller makes calls of the limiter all the time, and wants none to fail nor to
// wait for much longer than the timeout.
type caller struct {
	mu      sync.Mutex
	slowest time.Duration
	calls   int
	stop    chan struct{}
	done    chan struct{}
}

func call(t *testing.T, l *redislimit.Limiter) *caller {
	c := &caller{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			start := time.Now()
			if err := l.Allow(context.Background(), ratelimit.Key{Client: strconv.Itoa(i % 50)}); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			c.mu.Lock()
			c.calls++
			c.slowest = max(c.slowest, time.Since(start))
			c.mu.Unlock()
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
		}
	}()
	return c
}

func (c *caller) end() (calls int, slowest time.Duration) {
	close(c.stop)
	<-c.done
	return c.calls, c.slowest
}

// TestKilledAndHungRedis: no call fails or waits for long when a real Redis is
// killed, comes back, hangs and goes on, and observers hear of each turn once.
func TestKilledAndHungRedis(t *testing.T) {
	const timeout = 50 * time.Millisecond
	srv := startServer(t)
	var mu sync.Mutex
	var told []bool // away
	l := newLimiter(t, connect(t, srv.addr), 1_000_000, redislimit.WithTimeout(timeout), redislimit.WithRecheck(100*time.Millisecond),
		redislimit.WithObserver(resilience.Observer{Degraded: func(_ context.Context, e resilience.Degradation) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, !e.Since.IsZero())
			t.Logf("away: %v (%v)", !e.Since.IsZero(), e.Err)
		}}))
	turn := func(what string, away bool, n int) {
		t.Helper()
		eventually(t, what, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return l.Snapshot().Away == away && len(told) >= n
		})
	}
	// The first connection takes longer than an answer on a machine with a lot to do.
	eventually(t, "Redis answers in time", func() bool {
		_ = l.Allow(t.Context(), key)
		return l.Snapshot().Counts.Admitted > 0 && !l.Snapshot().Away
	})
	mu.Lock()
	told = nil
	mu.Unlock()

	c := call(t, l)
	srv.stop(syscall.SIGKILL)
	turn("killed", true, 1)
	srv.start()
	turn("restarted", false, 2)
	srv.signal(syscall.SIGSTOP)
	turn("stopped", true, 3)
	srv.signal(syscall.SIGCONT)
	turn("continued", false, 4)
	calls, slowest := c.end()
	t.Logf("%d calls, the slowest %v; %+v", calls, slowest, l.Snapshot().Counts)
	if slowest > timeout+500*time.Millisecond {
		t.Errorf("a call waited for %v, want no more than %v and what the machine adds", slowest, timeout)
	}
	mu.Lock()
	defer mu.Unlock()
	for i, away := range told {
		if away != (i%2 == 0) {
			t.Errorf("told of %v, want away and back in turn", told)
		}
	}
}

// TestRealRedis: the script does on a real server what it does on the fake one, and
// takes the memory that the documentation says.
func TestRealRedis(t *testing.T) {
	c := connect(t, startServer(t).addr)
	ctx := t.Context()
	l := newLimiter(t, c, 3, unlimited, redislimit.WithTimeout(time.Second)) // counts for 61s
	for i := range 5 {
		e := refused(t, l.Allow(ctx, key))
		if (e == nil) != (i < 3) {
			t.Fatalf("call %d: %v", i, e)
		}
		if e != nil && (e.RetryAfter <= 58*time.Second || e.RetryAfter > 61200*time.Millisecond) {
			t.Errorf("refused for %v, want about 61s", e.RetryAfter)
		}
		if err := c.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %q, %v; want one", keys, err)
	}
	if ttl := c.PTTL(ctx, keys[0]).Val(); ttl <= 58*time.Second || ttl > 61200*time.Millisecond {
		t.Errorf("TTL %v, want about 61s", ttl)
	}
	if n := c.MemoryUsage(ctx, keys[0]).Val(); n <= 0 || n > 3200 {
		t.Errorf("the key takes %d bytes", n)
	} else {
		t.Logf("the key takes %d bytes", n)
	}
	if s := l.Snapshot(); s.Counts.Failed != 0 || s.Counts.Admitted != 3 || s.Counts.RefusedShared != 2 {
		t.Errorf("%+v, want 3 admitted, 2 refused, no failures", s.Counts)
	}
}

// TestCluster: keys are spread over the nodes, the limit holds, a node that is
// killed takes the limit of its keys only, and gets it back.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	nodes := startCluster(t)
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.addr)
	}
	const limit, numKeys = 5, 60
	limiters := make([]*redislimit.Limiter, 2)
	for i := range limiters {
		limiters[i] = newLimiter(t, connect(t, addrs...), limit, unlimited, redislimit.WithTimeout(time.Second), redislimit.WithRecheck(time.Second))
	}
	// round offers each key more than its limit, from both limiters at once, and
	// returns how many keys had how many calls.
	series := 0
	round := func() map[int]int {
		series++
		var mu sync.Mutex
		admitted := make([]int, numKeys)
		var wg sync.WaitGroup
		for _, l := range limiters {
			wg.Go(func() {
				for range 2 * limit {
					for k := range numKeys {
						if refused(t, l.Allow(t.Context(), ratelimit.Key{Client: strconv.Itoa(k), Method: strconv.Itoa(series)})) == nil {
							mu.Lock()
							admitted[k]++
							mu.Unlock()
						}
					}
				}
			})
		}
		wg.Wait()
		counts := map[int]int{}
		for _, n := range admitted {
			counts[n]++
		}
		return counts
	}

	if got := round(); got[limit] != numKeys {
		t.Errorf("keys by calls: %v, want all %d with %d", got, numKeys, limit)
	}
	for _, addr := range addrs {
		if n := connect(t, addr).DBSize(t.Context()).Val(); n < numKeys/6 {
			t.Errorf("%d of %d keys at %s, want about a third", n, numKeys, addr)
		}
	}

	nodes[1].stop(syscall.SIGKILL)
	round() // in which it is found out
	got := round()
	t.Logf("with a node of three killed, keys by calls: %v", got)
	if away := got[2*2*limit]; got[limit]+away != numKeys || away < numKeys/6 || away > numKeys*2/3 {
		t.Errorf("keys by calls: %v, want %d each, and for about a third no limit but the local one", got, limit)
	}
	if s := limiters[0].Snapshot(); !s.Away {
		t.Errorf("%+v, want away", s)
	}

	nodes[1].start()
	for _, l := range limiters {
		eventually(t, "the node is back", func() bool {
			_ = l.Allow(t.Context(), key)
			return !l.Snapshot().Away
		})
	}
	if got := round(); got[limit] != numKeys {
		t.Errorf("after the return, keys by calls: %v, want all %d with %d", got, numKeys, limit)
	}
}
