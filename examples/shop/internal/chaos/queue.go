// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"sync"
	"time"
)

const (
	// Workers is how many calls an overloaded dependency works on at once.
	Workers = 4
	// MaxBacklog is how much an overloaded dependency has to do at most: a call
	// that would wait longer fails at once.
	MaxBacklog = 5 * time.Second
)

// queue is a first-come, first-served queue in front of workers that need a fixed
// time for each call. It keeps no calls, only when each worker will be free.
type queue struct {
	service time.Duration // of one call

	mu   sync.Mutex
	free [Workers]time.Time
}

func newQueue(perSecond float64) *queue {
	return &queue{service: time.Duration(Workers / perSecond * float64(time.Second))}
}

// enter puts a call into the queue and returns how long it takes from now until
// it is done. It returns false if the queue is too long.
func (q *queue) enter(now time.Time) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := &q.free[0]
	for i := range q.free {
		if q.free[i].Before(*next) {
			next = &q.free[i]
		}
	}
	begin := now
	if next.After(now) {
		begin = *next
	}
	if begin.Sub(now) > MaxBacklog {
		return 0, false
	}
	*next = begin.Add(q.service)
	return next.Sub(now), true
}
