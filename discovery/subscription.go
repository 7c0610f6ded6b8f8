// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"fmt"
	"sync"
)

// Subscription is one caller's view of a service. It is safe for concurrent use, but
// for [Subscription.Next], which one goroutine calls.
type Subscription struct {
	service *service
	notify  func(*Snapshot)
	closed  chan struct{}
	once    sync.Once
	last    *Snapshot // of Next

	mu        sync.Mutex // held while notify runs
	delivered uint64
}

// Snapshot returns what is known now. It never returns nil and takes no lock.
func (s *Subscription) Snapshot() *Snapshot { return s.service.current().snapshot }

// Next waits for a snapshot other than the last that it returned, and returns the
// latest: one that was replaced meanwhile is left out. The first call returns the
// present one as soon as something is known, or known to be wrong. Compare versions to
// see whether the instances changed, and [Set.Diff] to see which.
func (s *Subscription) Next(ctx context.Context) (*Snapshot, error) {
	for {
		st := s.service.current()
		if st.snapshot != s.last && !st.initial() {
			s.last = st.snapshot
			return s.last, nil
		}
		if err := s.wait(ctx, st); err != nil {
			return nil, err
		}
	}
}

// Ready waits until there is an instance to call. The error names what was wrong when
// ctx ended, and wraps the cause of that, too.
func (s *Subscription) Ready(ctx context.Context) error {
	for {
		st := s.service.current()
		if st.snapshot.Instances.Len() > 0 {
			return nil
		}
		if err := s.wait(ctx, st); err != nil {
			return fmt.Errorf("%w (%w)", st.snapshot.Problem(), err)
		}
	}
}

func (s *Subscription) wait(ctx context.Context, st *state) error {
	select {
	case <-s.closed:
		return fmt.Errorf("discovery: watch %s: %w", s.service.q, ErrClosed)
	default:
	}
	select {
	case <-st.replaced:
		return nil
	case <-s.closed:
		return fmt.Errorf("discovery: watch %s: %w", s.service.q, ErrClosed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Refresh asks a registry that could not be asked again, without waiting for the whole
// back-off, but not before the shortest one is over. A watch that works needs none.
func (s *Subscription) Refresh() { signal(s.service.wake) }

// Close ends the subscription. It does not wait, and can be called twice and by its
// notify function.
func (s *Subscription) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.service.watcher.leave(s)
	})
}

// deliver tells of a state, unless a later one was told of.
func (s *Subscription) deliver(st *state) {
	if s.notify == nil || st.initial() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return
	default:
	}
	if st.number > s.delivered {
		s.delivered = st.number
		s.notify(st.snapshot)
	}
}

// state is a snapshot as it was published.
type state struct {
	snapshot *Snapshot
	number   uint64        // of the publication, from 1 for the initial one
	replaced chan struct{} // closed when there is a next one
}

// initial reports whether there was no answer and no failure yet.
func (st *state) initial() bool { return st.number == 1 && st.snapshot.Origin == OriginNone }
