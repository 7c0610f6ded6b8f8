// SPDX-License-Identifier: Apache-2.0

package slots

import (
	"context"
	"sync"
	"time"
)

// Verdict says what became of an Acquire.
type Verdict uint8

// The verdicts.
const (
	Granted Verdict = iota
	// Full: no slot, and no room in the queue.
	Full
	// Expired: no slot within the time to wait.
	Expired
	// Ended: the context ended before there was a slot.
	Ended
)

// Slots are a number of slots and a queue for them. Use [New]. They are safe for
// concurrent use, and granting and returning a slot costs no allocation.
type Slots struct {
	mu       sync.Mutex
	max      int
	inFlight int
	maxQueue int
	queued   int
	// The queue. If there is one, all slots are taken.
	head, tail *waiter
}

// waiter is a place in the queue.
type waiter struct {
	prev, next *waiter
	granted    chan struct{} // closed under mu when it has its slot
	done       bool          // under mu: has its slot
}

// Permit is a slot that was granted. The zero Permit is no slot; it can be done
// with as well.
type Permit struct {
	slots *Slots
	held  bool // under slots.mu
}

// New returns slots for max calls, max > 0, and a queue for maxQueue more.
func New(max, maxQueue int) *Slots { return &Slots{max: max, maxQueue: maxQueue} }

// Max returns the number of slots.
func (s *Slots) Max() int { return s.max }

// MaxQueue returns the length the queue can have.
func (s *Slots) MaxQueue() int { return s.maxQueue }

// Usage returns how many slots are taken and how many calls wait for one.
func (s *Slots) Usage() (inFlight, queued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inFlight, s.queued
}

// Try takes a slot if there is one and nobody waits for it. It never waits.
func (s *Slots) Try() (Permit, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == s.max {
		return Permit{}, false
	}
	s.inFlight++
	return Permit{slots: s, held: true}, true
}

// Acquire takes a slot, and waits its turn for it up to wait. A slot that is free
// at once is granted whatever the state of ctx.
func (s *Slots) Acquire(ctx context.Context, wait time.Duration) (Permit, Verdict) {
	s.mu.Lock()
	if s.inFlight < s.max {
		s.inFlight++
		s.mu.Unlock()
		return Permit{slots: s, held: true}, Granted
	}
	if s.queued == s.maxQueue {
		s.mu.Unlock()
		return Permit{}, Full
	}
	w := &waiter{granted: make(chan struct{})}
	s.push(w)
	s.mu.Unlock()

	verdict := w.await(ctx, wait)
	if verdict != Granted && s.leave(w, verdict) {
		return Permit{}, verdict
	}
	return Permit{slots: s, held: true}, Granted
}

// Done returns the slot. It can be called more than once, and from more than one
// goroutine, on the same variable; a copy of a Permit is not another slot.
func (p *Permit) Done() {
	if p.slots == nil {
		return
	}
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	if p.held {
		p.held = false
		p.slots.release()
	}
}

func (w *waiter) await(ctx context.Context, wait time.Duration) Verdict {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.granted:
		return Granted
	case <-ctx.Done():
		return Ended
	case <-timer.C:
		return Expired
	}
}

// leave gives up w's place and reports whether it had to. A slot that came in the
// same moment is used by one whose wait is over, and passed on by one whose call
// is.
func (s *Slots) leave(w *waiter, v Verdict) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.done {
		s.remove(w)
		return true
	}
	if v == Ended {
		s.release()
		return true
	}
	return false
}

// release gives a slot to the first who waits, or back. It requires mu.
func (s *Slots) release() {
	w := s.head
	if w == nil {
		s.inFlight--
		return
	}
	s.remove(w)
	w.done = true
	close(w.granted)
}

// push appends w to the queue. It requires mu.
func (s *Slots) push(w *waiter) {
	s.queued++
	w.prev = s.tail
	if s.tail == nil {
		s.head = w
	} else {
		s.tail.next = w
	}
	s.tail = w
}

// remove takes w out of the queue. It requires mu.
func (s *Slots) remove(w *waiter) {
	s.queued--
	if w.prev == nil {
		s.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		s.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}
