// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

type subscriber struct{ notify func() }

// Subscribe has notify called when the status has changed, or what counts of any check:
// ask the set for what. It is called by one goroutine at a time, outside of any lock,
// and must not block. Several changes may come as one. The returned function ends it;
// a call that is under way goes on.
//
//	cancel := checks.Subscribe(registrar.Refresh)
func (s *Set) Subscribe(notify func()) (cancel func()) {
	sub := &subscriber{notify}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers = append(slices.Clip(s.subscribers), sub)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscribers = slices.DeleteFunc(slices.Clone(s.subscribers), func(o *subscriber) bool { return o == sub })
	}
}

// tell tells of a status that changed, and of checks if what counts of them has. One
// goroutine does it at a time; what happens meanwhile is left to it.
func (s *Set) tell(dirty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = s.dirty || dirty
	if s.telling {
		return
	}
	s.telling = true
	defer func() { s.telling = false }()
	for {
		from, to := s.told, s.Status()
		if from == to && !s.dirty {
			return
		}
		s.told, s.dirty = to, false
		if to == StatusReady {
			s.wasReady.Store(true)
		}
		s.notify(from, to, s.subscribers)
	}
}

// notify calls whoever wants to know, without the lock that is held.
func (s *Set) notify(from, to Status, subscribers []*subscriber) {
	s.mu.Unlock()
	defer s.mu.Lock()
	if from != to && s.observer.StatusChanged != nil {
		s.observer.StatusChanged(StatusChange{from, to, s.Check(context.Background())})
	}
	for _, sub := range subscribers {
		sub.notify()
	}
}

// Ready waits until the process can take requests. It fails when ctx ends, or the set is
// stopped; the error says what was wrong then.
func (s *Set) Ready(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	defer s.Subscribe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	for {
		err := s.Check(ctx)
		if err == nil || s.Stopping() {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("health: not ready: %w", context.Cause(ctx)), s.Check(ctx))
		}
	}
}
