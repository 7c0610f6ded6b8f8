// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
)

// maxKeyBytes bounds each part of a [Key]: what a client says it is called may be
// as long as a header.
const maxKeyBytes = 128

// Key says whose bucket a call takes its token from. Parts longer than 128 bytes
// are cut.
type Key struct {
	// Client is who calls: a tenant, a user, the peer's name; may be empty.
	Client string
	// Method is what is called: a full method or a route; may be empty.
	Method string
}

// Keyed bounds the rate of calls by a token bucket for each key, all of the same
// limit and burst. The package comment says how it bounds its memory. Use
// [NewKeyed]; the zero Keyed is invalid. It is safe for concurrent use and needs no
// closing.
type Keyed struct {
	name  string
	limit rate.Limit
	burst int
	cfg   keyedConfig

	mu       sync.Mutex
	entries  map[Key]*entry
	ring     entry // the entries in the order of their use; next is the latest
	evicted  uint64
	forgiven uint64
}

// entry is the bucket of a key.
type entry struct {
	key        Key
	bucket     *rate.Limiter
	prev, next *entry
}

// NewKeyed returns a limiter that admits limit calls per second for each key, more
// than 0, and burst at once after a pause, at least 1. name appears in labels,
// events and errors; keys never do.
func NewKeyed(name string, limit rate.Limit, burst int, opts ...KeyedOption) (*Keyed, error) {
	cfg := keyedConfig{maxKeys: DefaultMaxKeys}
	for _, o := range opts {
		o.applyKeyed(&cfg)
	}
	var c checks
	c.bucket(name, limit, burst)
	c.want(cfg.maxKeys >= 1, "max keys", cfg.maxKeys, "be at least 1")
	if err := c.err(); err != nil {
		return nil, err
	}
	k := &Keyed{name: name, limit: limit, burst: burst, cfg: cfg, entries: map[Key]*entry{}}
	k.ring.prev, k.ring.next = &k.ring, &k.ring
	return k, nil
}

// Name returns the limiter's name.
func (k *Keyed) Name() string { return k.name }

// Allow takes a token from the bucket of key, or refuses with a
// [*resilience.RejectedError] that matches resilience.ErrRateLimited and says when
// there will be one. It never waits.
func (k *Keyed) Allow(ctx context.Context, key Key) error {
	now := time.Now()
	bucket := k.bucketOf(key, now)
	if bucket.AllowN(now, 1) {
		return nil
	}
	return reject(ctx, k.cfg.observer, resilience.RejectedError{
		Policy: resilience.PolicyRateLimit, Name: k.name, Reason: "rate limited", RetryAfter: untilToken(bucket, now),
	})
}

// KeyedSnapshot is what a limiter knows at one moment, for metrics and debug pages.
type KeyedSnapshot struct {
	Name string
	// Keys are remembered, of MaxKeys.
	Keys, MaxKeys int
	// Evicted is how many keys were forgotten to make room, and Forgiven how many
	// of them before their bucket was full again: if that grows, MaxKeys is small.
	Evicted, Forgiven uint64
}

// Snapshot returns the present numbers.
func (k *Keyed) Snapshot() KeyedSnapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	return KeyedSnapshot{Name: k.name, Keys: len(k.entries), MaxKeys: k.cfg.maxKeys, Evicted: k.evicted, Forgiven: k.forgiven}
}

// bucketOf returns the bucket of key, now the one used latest.
func (k *Keyed) bucketOf(key Key, now time.Time) *rate.Limiter {
	key = Key{Client: cut(key.Client), Method: cut(key.Method)}
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[key]
	if ok {
		e.unlink()
	} else {
		if len(k.entries) >= k.cfg.maxKeys {
			k.evict(now)
		}
		// The strings may be parts of something larger.
		key = Key{Client: strings.Clone(key.Client), Method: strings.Clone(key.Method)}
		e = &entry{key: key, bucket: rate.NewLimiter(k.limit, k.burst)}
		k.entries[key] = e
	}
	e.link(&k.ring)
	return e.bucket
}

// evict forgets the key that has been idle for longest. It requires mu.
func (k *Keyed) evict(now time.Time) {
	oldest := k.ring.prev
	oldest.unlink()
	delete(k.entries, oldest.key)
	k.evicted++
	if oldest.bucket.TokensAt(now) < float64(k.burst) {
		k.forgiven++
	}
}

// link puts e behind ring, as the latest.
func (e *entry) link(ring *entry) {
	e.prev, e.next = ring, ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}

func cut(s string) string { return s[:min(len(s), maxKeyBytes)] }
