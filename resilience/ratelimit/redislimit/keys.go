// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"math"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// maxKeyBytes bounds each part of a key, as in package ratelimit.
const maxKeyBytes = 128

// entry is what this process knows of a key. It is guarded by its limiter's lock,
// but for its location, which does not change.
type entry struct {
	location
	key    ratelimit.Key
	bucket *rate.Limiter
	// closedUntil is when Redis has a permit again.
	closedUntil time.Time
	// permits of a batch are left, until permitsUntil.
	permits      int
	permitsUntil time.Time

	prev, next *entry
}

// keys are the entries of the keys that were used latest.
type keys struct {
	limiter *Limiter
	entries map[ratelimit.Key]*entry
	ring    *entry // in the order of their use; next is the latest
	evicted uint64
}

func newKeys(l *Limiter) keys {
	ring := &entry{}
	ring.prev, ring.next = ring, ring
	return keys{limiter: l, entries: map[ratelimit.Key]*entry{}, ring: ring}
}

// of returns the entry of a key, now the one used latest.
func (k *keys) of(key ratelimit.Key) *entry {
	key.Client, key.Method = cut(key.Client), cut(key.Method)
	e, ok := k.entries[key]
	if ok {
		e.unlink()
	} else {
		e = k.add(key)
	}
	e.prev, e.next = k.ring, k.ring.next
	e.prev.next, e.next.prev = e, e
	return e
}

// add makes an entry, and room for it.
func (k *keys) add(key ratelimit.Key) *entry {
	if len(k.entries) >= k.limiter.cfg.maxKeys {
		oldest := k.ring.prev
		oldest.unlink()
		delete(k.entries, oldest.key)
		k.evicted++
	}
	// The strings may be parts of something larger.
	key = ratelimit.Key{Client: strings.Clone(key.Client), Method: strings.Clone(key.Method)}
	e := &entry{
		key:      key,
		location: k.limiter.window.locate(k.limiter.name, key),
		bucket:   rate.NewLimiter(k.limiter.cfg.localRate, k.limiter.cfg.localBurst),
	}
	k.entries[key] = e
	return e
}

// keep keeps n permits of a batch until a time. If there are some of another, all
// are lost with the first.
func (e *entry) keep(n int, now, until time.Time) {
	if e.permits > 0 && now.Before(e.permitsUntil) {
		n += e.permits
		if e.permitsUntil.Before(until) {
			until = e.permitsUntil
		}
	}
	e.permits, e.permitsUntil = n, until
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func cut(s string) string { return s[:min(len(s), maxKeyBytes)] }

// untilToken returns how long it takes until bucket has a token.
func untilToken(bucket *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - bucket.TokensAt(now)
	return time.Duration(math.Ceil(max(missing, 0) / float64(bucket.Limit()) * float64(time.Second)))
}
