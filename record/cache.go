// SPDX-License-Identifier: Apache-2.0

package record

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cache holds what was resolved once per method or route. Reads take no lock
// and allocate nothing; a miss copies the map, which happens once a key. Past
// its limit it takes no more keys, so that a peer who invents names cannot
// make it grow.
type cache[K comparable, V any] struct {
	limit   int
	entries atomic.Pointer[map[K]V]
	mu      sync.Mutex
}

// get returns the value of k, made by create if it is new. It reports false
// when k is new and the cache is full.
func (c *cache[K, V]) get(k K, create func(K) V) (V, bool) {
	if m := c.entries.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v, true
		}
		if len(*m) >= c.limit {
			var none V
			return none, false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.entries.Load()
	if old != nil {
		if v, ok := (*old)[k]; ok {
			return v, true
		}
		if len(*old) >= c.limit {
			var none V
			return none, false
		}
	}
	grown := map[K]V{}
	if old != nil {
		grown = maps.Clone(*old)
	}
	v := create(k)
	grown[k] = v
	c.entries.Store(&grown)
	return v, true
}
