// SPDX-License-Identifier: Apache-2.0

package breaker

import "time"

// buckets is how many parts the windows slide in.
const buckets = 10

// bucketPeriod returns the length of a part of window, rounded up.
func bucketPeriod(window time.Duration) time.Duration {
	return (window + buckets - 1) / buckets
}

// slowWindow counts slow calls in a sliding window, which gobreaker does not. Its
// lock is its breaker's.
type slowWindow struct {
	period time.Duration
	start  time.Time
	age    int64 // of the bucket in use, in periods since start
	parts  [buckets]tally
	sum    tally
}

type tally struct{ calls, slow int }

func (w *slowWindow) reset(period time.Duration) {
	*w = slowWindow{period: period, start: time.Now()}
}

func (w *slowWindow) add(slow bool) {
	w.slide()
	part := &w.parts[w.age%buckets]
	part.calls++
	w.sum.calls++
	if slow {
		part.slow++
		w.sum.slow++
	}
}

// slide drops the parts that are too old.
func (w *slowWindow) slide() {
	age := int64(time.Since(w.start) / w.period)
	for range min(age-w.age, buckets) {
		w.age++
		part := &w.parts[w.age%buckets]
		w.sum.calls -= part.calls
		w.sum.slow -= part.slow
		*part = tally{}
	}
	w.age = max(w.age, age)
}

// ratio returns the fraction of slow calls, of which there must be some.
func (w *slowWindow) ratio() float64 { return float64(w.sum.slow) / float64(w.sum.calls) }
