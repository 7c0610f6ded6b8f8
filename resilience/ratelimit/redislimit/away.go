// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience"
)

// maxFailures is after how many failures in a row Redis is away.
const maxFailures = 3

// away is which parts of Redis do not answer. A server alone is one part; of a
// cluster each hash tag is one, because its node may be gone while others answer.
// It is guarded by its limiter's lock.
type away struct {
	failures []int // in a row, by part; maxFailures and more is away
	parts    int   // that are away
	since    time.Time
	err      error
	next     time.Time // look
	pending  *resilience.Degradation
}

func newAway(client redis.Scripter) away {
	parts := numPartitions
	if _, alone := client.(*redis.Client); alone {
		parts = 1
	}
	return away{failures: make([]int, parts)}
}

func (a *away) part(partition int) *int { return &a.failures[partition%len(a.failures)] }

// is reports whether a partition is away.
func (a *away) is(partition int) bool { return *a.part(partition) >= maxFailures }

// failed notes that a request was not answered.
func (a *away) failed(partition int, err error, now time.Time, recheck time.Duration) {
	n := a.part(partition)
	if *n++; *n != maxFailures {
		return
	}
	if a.parts++; a.parts == 1 {
		a.since, a.err, a.next = now, err, now.Add(recheck)
		a.pending = &resilience.Degradation{Since: now, Err: err}
	}
}

// answered notes that one was.
func (a *away) answered(partition int) {
	n := a.part(partition)
	was := *n >= maxFailures
	if *n = 0; !was {
		return
	}
	if a.parts--; a.parts == 0 {
		a.since, a.err = time.Time{}, nil
		a.pending = &resilience.Degradation{}
	}
}

// due returns the partitions that somebody has to look after now. A look ends within
// the timeout, which is not longer than every.
func (a *away) due(now time.Time, every time.Duration) []int {
	if a.parts == 0 || now.Before(a.next) {
		return nil
	}
	a.next = now.Add(every)
	var all []int
	for part, n := range a.failures {
		if n >= maxFailures {
			all = append(all, part)
		}
	}
	return all
}

// news returns what observers do not know yet.
func (a *away) news() *resilience.Degradation {
	n := a.pending
	a.pending = nil
	return n
}
