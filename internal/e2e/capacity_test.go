// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"sync"
	"time"
)

// office is a server's work, of known capacity: so many workers that need a time for
// each call, and before them a queue that is first in, first out and has no end. It
// does not know that a caller has gone: what was begun for one is done for nothing,
// as in servers whose work does not look at its context.
//
// From twice as many calls as workers on they get in each other's way: for each of
// its workers that the queue is longer, all calls take a tenth longer.
type office struct {
	workers int
	service time.Duration

	mu     sync.Mutex
	busy   int
	queue  []chan struct{}
	closed bool
}

// capacity is how many calls a second it can do.
func (o *office) capacity() float64 { return float64(o.workers) / o.service.Seconds() }

// handle does the work of one call.
func (o *office) handle() {
	o.mu.Lock()
	switch {
	case o.closed:
	case o.busy < o.workers:
		o.busy++
	default:
		turn := make(chan struct{})
		o.queue = append(o.queue, turn)
		o.mu.Unlock()
		<-turn
		o.mu.Lock()
	}
	if o.closed {
		o.mu.Unlock()
		return
	}
	crowd := float64(o.busy+len(o.queue)) / float64(o.workers)
	work := time.NewTimer(time.Duration(float64(o.service) * (1 + max(0, crowd-2)/10)))
	o.mu.Unlock()
	<-work.C

	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		close(o.queue[0]) // the worker goes on with the next
		o.queue = o.queue[1:]
	} else {
		o.busy--
	}
}

// close sends everybody in the queue home.
func (o *office) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, turn := range o.queue {
		close(turn)
	}
	o.queue = nil
}
