// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math"
	"sync/atomic"
	"time"
)

// The latency buckets grow by 2% from 10µs on, which reaches beyond a minute:
// a quantile is at most 2% too high.
const (
	minLatency = 10 * time.Microsecond
	growth     = 1.02
	buckets    = 800
)

// latencies counts durations in exponential buckets. The zero value is empty.
// It is safe for concurrent use.
type latencies struct {
	counts [buckets]atomic.Uint64
}

func (l *latencies) observe(d time.Duration) {
	i := 0
	if d > minLatency {
		i = int(math.Ceil(math.Log(float64(d)/float64(minLatency)) / math.Log(growth)))
	}
	l.counts[min(i, buckets-1)].Add(1)
}

// quantile returns the duration that the fraction q of all observations does not
// exceed, 0 if there are none.
func (l *latencies) quantile(q float64) time.Duration {
	var counts [buckets]uint64
	var total uint64
	for i := range l.counts {
		counts[i] = l.counts[i].Load()
		total += counts[i]
	}
	rank := uint64(math.Ceil(q * float64(total)))
	var seen uint64
	for i, n := range counts {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(float64(minLatency) * math.Pow(growth, float64(i)))
		}
	}
	return 0
}
