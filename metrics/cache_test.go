// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"
	"testing"
)

// These tests look inside: that a hit takes no lock cannot be seen from outside.

func TestCacheLimit(t *testing.T) {
	c := &cache[int, int]{limit: 3}
	for i := range 5 {
		v, ok := c.loadOrStore(i, func() int { return i * 10 })
		if want := i < 3; ok != want || ok && v != i*10 {
			t.Errorf("loadOrStore(%d) = %d, %v", i, v, ok)
		}
	}
	for i := range 5 {
		if v, ok := c.load(i); ok != (i < 3) || ok && v != i*10 {
			t.Errorf("load(%d) = %d, %v", i, v, ok)
		}
	}
	if v, ok := c.loadOrStore(1, func() int { t.Error("made twice"); return 0 }); !ok || v != 10 {
		t.Errorf("a full cache lost 1: %d, %v", v, ok)
	}
	if c.len() != 3 {
		t.Errorf("%d keys", c.len())
	}
	var zero cache[int, int]
	if _, ok := zero.loadOrStore(1, func() int { return 1 }); ok {
		t.Error("the zero value admits a key")
	}
}

// TestCacheLocksLittle: keys that are read come out of the part that needs a lock,
// and a full cache needs none at all, not even to miss.
func TestCacheLocksLittle(t *testing.T) {
	c := &cache[int, int]{limit: 100}
	for i := range 50 {
		c.loadOrStore(i, func() int { return i })
	}
	for i := range 50 {
		c.load(i)
	}
	if c.dirty != nil || c.read.Load().amended {
		t.Error("after as many reads as keys, reads still need the lock")
	}
	for i := range 50 {
		c.loadOrStore(50+i, func() int { return i })
	}
	if c.dirty != nil || c.read.Load().amended {
		t.Error("a full cache still needs its lock")
	}
	c.mu.Lock() // anything that waits for the lock now waits for ever
	defer c.mu.Unlock()
	for i := range 200 {
		if _, ok := c.load(i); ok != (i < 100) {
			t.Errorf("load(%d) = %v", i, ok)
		}
	}
}

func TestCacheConcurrently(t *testing.T) {
	c := &cache[int, *int]{limit: 64}
	var wg sync.WaitGroup
	var seen [4][128]*int
	for w := range seen {
		wg.Go(func() {
			for round := range 4 {
				for k := range 128 {
					v, ok := c.load(k)
					if !ok {
						v, ok = c.loadOrStore(k, func() *int { return new(k) })
					}
					if !ok {
						continue
					}
					if *v != k || round > 0 && seen[w][k] != nil && seen[w][k] != v {
						t.Errorf("key %d has value %d, or changed it", k, *v)
					}
					seen[w][k] = v
				}
			}
		})
	}
	wg.Wait()
	if c.len() != 64 {
		t.Errorf("%d keys over a limit of 64", c.len())
	}
	for k := range 128 {
		for w := range seen {
			if v, ok := c.load(k); ok && seen[w][k] != nil && seen[w][k] != v {
				t.Errorf("two goroutines got different values for %d", k)
			}
		}
	}
}
