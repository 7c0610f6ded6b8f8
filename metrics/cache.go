// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cache is a map of bounded size for few writes and very many reads. A hit takes
// no lock and allocates nothing; once the cache is full, so does a miss. The
// idea is that of the first sync.Map, kept typed because a string key put into
// an interface costs an allocation.
//
// The zero value holds nothing and admits nothing; set limit before the first use.
type cache[K comparable, V any] struct {
	limit int

	read atomic.Pointer[snapshot[K, V]]

	mu sync.Mutex
	// dirty holds all of read and what came since; nil if nothing did.
	dirty map[K]V
	// misses counts the reads that needed dirty since it was made.
	misses int
}

// snapshot is a map that is never written again.
type snapshot[K comparable, V any] struct {
	m map[K]V
	// amended says that dirty has keys that m lacks.
	amended bool
}

// load returns the value of k.
func (c *cache[K, V]) load(k K) (V, bool) {
	s := c.read.Load()
	if s == nil {
		var none V
		return none, false
	}
	v, ok := s.m[k]
	if ok || !s.amended {
		return v, ok
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loadLocked(k)
}

// loadOrStore returns the value of k, made by create if k is new. It returns
// false if k is new and the cache is full. create runs under the cache's lock.
func (c *cache[K, V]) loadOrStore(k K, create func() V) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.loadLocked(k); ok {
		return v, true
	}
	if c.lenLocked() >= c.limit {
		var none V
		return none, false
	}
	v := create()
	if c.dirty == nil {
		var m map[K]V
		if s := c.read.Load(); s != nil {
			m = s.m
		}
		c.dirty = maps.Clone(m)
		if c.dirty == nil {
			c.dirty = make(map[K]V)
		}
		c.read.Store(&snapshot[K, V]{m: m, amended: true})
	}
	c.dirty[k] = v
	if len(c.dirty) >= c.limit {
		c.promote() // from here on, nothing new can come: no reader needs the lock again
	}
	return v, true
}

func (c *cache[K, V]) loadLocked(k K) (V, bool) {
	if c.dirty == nil {
		var m map[K]V
		if s := c.read.Load(); s != nil {
			m = s.m
		}
		v, ok := m[k]
		return v, ok
	}
	v, ok := c.dirty[k]
	if c.misses++; c.misses >= len(c.dirty) {
		c.promote()
	}
	return v, ok
}

func (c *cache[K, V]) lenLocked() int {
	if c.dirty != nil {
		return len(c.dirty)
	}
	if s := c.read.Load(); s != nil {
		return len(s.m)
	}
	return 0
}

func (c *cache[K, V]) promote() {
	c.read.Store(&snapshot[K, V]{m: c.dirty})
	c.dirty, c.misses = nil, 0
}

// len returns how many keys the cache holds.
func (c *cache[K, V]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lenLocked()
}
