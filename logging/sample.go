// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// buckets times ways is how many different messages are counted at a time.
	buckets = 1024
	ways    = 4
)

// Sampler decides which repeats of a record are dropped under load. Records
// with the same level and message are repeats of each other, whatever their
// attributes. In each interval the first few pass, and of the rest one in so
// many; an interval begins with the first record after the one before has
// ended. A record that passes after some were dropped says how many, in
// [DroppedRepeatsKey].
//
// Records at error level and above, and those of a request that has a level of
// its own, always pass and are not counted.
//
// It keeps counters for at most 4096 messages at a time in memory of a fixed
// size. Messages past that pass, see [SamplerStats]. It is safe for concurrent
// use and needs no goroutine.
type Sampler struct {
	interval          time.Duration
	first, thereafter uint64

	start   time.Time
	seed    maphash.Seed
	buckets []bucket

	passed, dropped, reported, untracked atomic.Uint64
}

// bucket holds the counters of the keys that hash to it.
type bucket struct {
	mu       sync.Mutex
	counters [ways]counter
}

type counter struct {
	key     uint64        // 0 if free
	ends    time.Duration // of the interval, since Sampler.start
	seen    uint64        // in this interval
	dropped uint64        // since a record passed
}

// SamplerStats says what a [Sampler] did so far.
type SamplerStats struct {
	// Passed and Dropped count the records that could have been dropped.
	Passed, Dropped uint64
	// Unreported is how many of the dropped ones no record has told about:
	// those since the last of their kind passed, or whose kind was forgotten.
	Unreported uint64
	// Untracked counts those of the passed ones for which there was no counter.
	Untracked uint64
}

// NewSampler returns a Sampler that lets the first records of a kind pass in
// each interval, and every thereafter-th one after them; none if thereafter is
// 0. It fails if interval or first is not positive or thereafter is negative.
func NewSampler(interval time.Duration, first, thereafter int) (*Sampler, error) {
	switch {
	case interval <= 0:
		return nil, fmt.Errorf("logging: NewSampler: interval is %v, want more than 0", interval)
	case first <= 0:
		return nil, fmt.Errorf("logging: NewSampler: first is %d, want more than 0", first)
	case thereafter < 0:
		return nil, fmt.Errorf("logging: NewSampler: thereafter is %d, want 0 or more", thereafter)
	}
	return &Sampler{
		interval:   interval,
		first:      uint64(first),
		thereafter: uint64(thereafter),
		start:      time.Now(),
		seed:       maphash.MakeSeed(),
		buckets:    make([]bucket, buckets),
	}, nil
}

// Stats returns the counts so far, for metrics. A nil Sampler has none.
func (s *Sampler) Stats() SamplerStats {
	if s == nil {
		return SamplerStats{}
	}
	reported := s.reported.Load() // first: it never overtakes dropped
	dropped := s.dropped.Load()
	return SamplerStats{
		Passed:     s.passed.Load(),
		Dropped:    dropped,
		Unreported: dropped - reported,
		Untracked:  s.untracked.Load(),
	}
}

// sample reports whether a record passes, and how many like it were dropped
// since the last one did.
func (s *Sampler) sample(level slog.Level, message string) (pass bool, dropped uint64) {
	if level >= slog.LevelError {
		return true, 0
	}
	key := maphash.String(s.seed, message) ^ uint64(level)*0x9e3779b97f4a7c15
	if key == 0 {
		key = 1
	}
	now := time.Since(s.start)
	b := &s.buckets[key%buckets]
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.counter(key, now)
	if c == nil {
		s.passed.Add(1)
		s.untracked.Add(1)
		return true, 0
	}
	if now >= c.ends {
		c.ends = now + s.interval
		c.seen = 0
	}
	c.seen++
	if over := c.seen; over > s.first && (s.thereafter == 0 || (over-s.first)%s.thereafter != 0) {
		c.dropped++
		s.dropped.Add(1)
		return false, 0
	}
	dropped, c.dropped = c.dropped, 0
	s.reported.Add(dropped)
	s.passed.Add(1)
	return true, dropped
}

// counter returns the counter of key, in a free place or in that of a key
// whose interval is over if it is new; nil if there is none.
func (b *bucket) counter(key uint64, now time.Duration) *counter {
	var place *counter
	for i := range b.counters {
		c := &b.counters[i]
		if c.key == key {
			return c
		}
		// Best a place with nothing left to report.
		if over := c.key == 0 || now >= c.ends; over && (place == nil || place.dropped > c.dropped) {
			place = c
		}
	}
	if place != nil {
		*place = counter{key: key}
	}
	return place
}
