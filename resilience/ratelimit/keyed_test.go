// SPDX-License-Identifier: Apache-2.0

package ratelimit_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

func TestKeysHaveBucketsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		var k *ratelimit.Keyed
		k = newKeyed(t, 10, 2, counter(&told, func() { _ = k.Snapshot() }))
		keys := []ratelimit.Key{{}, {Client: "a"}, {Method: "a"}, {Client: "a", Method: "b"}, {Client: "b", Method: "a"}, {Client: "ab"}}
		for _, key := range keys {
			for range 2 {
				if err := k.Allow(t.Context(), key); err != nil {
					t.Fatalf("%v: %v", key, err)
				}
			}
			e := refusal(t, k.Allow(t.Context(), key), resilience.ErrRateLimited)
			if e.RetryAfter != 100*time.Millisecond {
				t.Errorf("%v: retry after %v, want 100ms", key, e.RetryAfter)
			}
		}
		time.Sleep(100 * time.Millisecond)
		for _, key := range keys {
			if err := k.Allow(t.Context(), key); err != nil {
				t.Errorf("%v: %v", key, err)
			}
		}
		if told != len(keys) {
			t.Errorf("told of %d refusals, want %d", told, len(keys))
		}
		want := ratelimit.KeyedSnapshot{Name: "orders", Keys: len(keys), MaxKeys: ratelimit.DefaultMaxKeys}
		if diff := cmp.Diff(want, k.Snapshot()); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
	})
}

func TestForgetsTheKeyIdleForLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyed(t, 1, 1, ratelimit.WithMaxKeys(3))
		use := func(client string) error { return k.Allow(t.Context(), ratelimit.Key{Client: client}) }
		for _, c := range []string{"a", "b", "c"} {
			if err := use(c); err != nil {
				t.Fatal(err)
			}
		}
		if use("a") == nil { // refused, but used
			t.Fatal("a exceeds its rate")
		}
		_ = use("d") // b has to go
		for _, c := range []string{"a", "c", "d"} {
			if use(c) == nil {
				t.Errorf("%s was forgotten", c)
			}
		}
		if use("b") != nil {
			t.Error("b was remembered")
		}
		if s := k.Snapshot(); s.Keys != 3 || s.Evicted != 2 || s.Forgiven != 2 {
			t.Errorf("snapshot %+v, want 3 keys, 2 evicted, both forgiven", s)
		}
		time.Sleep(time.Second) // all are full again: nothing is lost
		_ = use("e")
		if s := k.Snapshot(); s.Evicted != 3 || s.Forgiven != 2 {
			t.Errorf("snapshot %+v, want 3 evicted, 2 forgiven", s)
		}
	})
}

// A crowd of new names does not free a client that is being limited.
func TestBusyKeysAreNotCrowdedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyed(t, 1, 5, ratelimit.WithMaxKeys(100))
		admitted := 0
		for i := range 2000 {
			if k.Allow(t.Context(), ratelimit.Key{Client: "busy"}) == nil {
				admitted++
			}
			for j := range 10 {
				_ = k.Allow(t.Context(), ratelimit.Key{Client: fmt.Sprint(i, j)})
			}
			time.Sleep(5 * time.Millisecond)
		}
		if admitted != 14 { // the burst, and one a second after each of 9
			t.Errorf("%d calls in 10s, want 14", admitted)
		}
	})
}

func TestLongKeysAreCut(t *testing.T) {
	k := newKeyed(t, rate.Every(time.Hour), 1)
	long := strings.Repeat("x", 128)
	for i, tc := range []struct {
		key  ratelimit.Key
		same bool
	}{
		{ratelimit.Key{Client: long}, false},
		{ratelimit.Key{Client: long + "y"}, true},
		{ratelimit.Key{Client: long[:127]}, false},
		{ratelimit.Key{Method: long + "y"}, false},
		{ratelimit.Key{Method: long + "z"}, true},
	} {
		if refused := k.Allow(t.Context(), tc.key) != nil; refused != tc.same {
			t.Errorf("case %d: refused %v, want %v", i, refused, tc.same)
		}
	}
}

// Each key is a part of a text of 16 kB, which must not stay in memory for it.
func TestMemoryIsBounded(t *testing.T) {
	k := newKeyed(t, 1, 1, ratelimit.WithMaxKeys(1000))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 2000 {
		header := fmt.Sprintf("%08d%s", i, strings.Repeat("x", 1<<14))
		_ = k.Allow(t.Context(), ratelimit.Key{Client: header, Method: header[:8]})
	}
	after := heap()
	if s := k.Snapshot(); s.Keys != 1000 || s.Evicted != 1000 {
		t.Errorf("snapshot %+v, want 1000 keys, 1000 evicted", s)
	}
	if grown := int64(after) - int64(before); grown > 2<<20 {
		t.Errorf("%d bytes for 1000 keys", grown)
	}
	runtime.KeepAlive(k)
}

func TestKeyedConcurrently(t *testing.T) {
	k := newKeyed(t, rate.Every(time.Hour), 7, ratelimit.WithMaxKeys(64))
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if k.Allow(t.Context(), ratelimit.Key{Client: fmt.Sprint(i % 50)}) == nil {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != 50*7 {
		t.Errorf("%d calls admitted, want 7 for each of 50 keys", got)
	}
}
