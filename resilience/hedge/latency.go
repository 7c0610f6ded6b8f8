// SPDX-License-Identifier: Apache-2.0

package hedge

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// MinObserved is how many latencies must have been seen before a quantile of them is
// used.
const MinObserved = 100

// The buckets of the histogram: eight to each doubling, from 1 µs to about 4½ minutes.
// What is longer counts as the longest.
const (
	unitShift   = 10 // the unit is 1024 ns
	perDoubling = 8
	doublings   = 26
	numBuckets  = doublings * perDoubling
)

const (
	// generation is how many latencies are counted before those counted before
	// them are forgotten: the quantile is of the last one to two generations.
	generation = 1000
	// refresh is how many latencies are counted between two computations of the
	// quantile.
	refresh = 50
)

// latencies estimates a quantile of what it observes, in bounded memory (under 2 kB)
// and of the recent past. It is too long by an eighth at most. The quantile must be
// set; the rest of the zero value is ready to use. It is safe for concurrent use.
type latencies struct {
	quantile float64
	cached   atomic.Int64 // the estimate; 0: not known yet

	mu           sync.Mutex
	young, old   [numBuckets]uint32
	nYoung, nOld int
}

// estimate returns the quantile; 0 if it is not known yet.
func (l *latencies) estimate() time.Duration { return time.Duration(l.cached.Load()) }

func (l *latencies) observe(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.young[bucketOf(d)]++
	l.nYoung++
	if n := l.nYoung + l.nOld; n >= MinObserved && n%refresh == 0 {
		l.cached.Store(int64(l.compute()))
	}
	if l.nYoung == generation {
		l.old, l.nOld = l.young, l.nYoung
		l.young, l.nYoung = [numBuckets]uint32{}, 0
	}
}

// compute returns the upper end of the bucket in which the quantile is.
func (l *latencies) compute() time.Duration {
	rank := uint32(math.Ceil(l.quantile * float64(l.nYoung+l.nOld)))
	var seen uint32
	for i := range numBuckets {
		seen += l.young[i] + l.old[i]
		if seen >= rank {
			return upperEnd(i)
		}
	}
	return upperEnd(numBuckets - 1)
}

// bucketOf returns the bucket of a latency: the first eight are one unit wide, and
// from there on each eight are twice as wide as the eight before.
func bucketOf(d time.Duration) int {
	units := uint64(max(d, 0)) >> unitShift
	if units < perDoubling {
		return int(units)
	}
	shift := bits.Len64(units) - bits.Len64(perDoubling)
	return min(shift*perDoubling+int(units>>shift), numBuckets-1)
}

// upperEnd returns the longest latency of a bucket.
func upperEnd(bucket int) time.Duration {
	if bucket < perDoubling {
		return time.Duration(bucket+1)<<unitShift - 1
	}
	shift := bucket/perDoubling - 1
	units := uint64(bucket%perDoubling+perDoubling+1) << shift
	return time.Duration(units<<unitShift - 1)
}
