// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"sync"
	"time"
)

// Store keeps what is known of services from one process to the next; package
// snapshot is one on disk. Implementations are safe for concurrent use.
type Store interface {
	// Load returns what was saved last for a query. The error is [ErrNotStored] if
	// that is nothing.
	Load(q Query) (Stored, error)
	// Save replaces what is stored for a query, at once or not at all.
	Save(q Query, s Stored) error
}

// Stored is a set of instances, and when the registry said so.
type Stored struct {
	Instances *Set
	At        time.Time
}

// saver writes to a store on a goroutine of its own, so that a slow disk holds up
// nobody. Of each query, only the latest waits to be written.
type saver struct {
	store    Store
	interval time.Duration
	failed   func(Query, error)
	wake     chan struct{}
	done     chan struct{}

	mu      sync.Mutex
	pending map[Query]Stored
}

func newSaver(store Store, interval time.Duration, failed func(Query, error)) *saver {
	return &saver{
		store: store, interval: interval, failed: failed,
		wake: make(chan struct{}, 1), done: make(chan struct{}), pending: map[Query]Stored{},
	}
}

func (s *saver) put(q Query, stored Stored) {
	s.mu.Lock()
	s.pending[q] = stored
	s.mu.Unlock()
	signal(s.wake)
}

// run saves until ctx ends, and then what is left.
func (s *saver) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.wake:
			s.save()
			sleep(ctx, s.interval, nil)
		}
	}
	s.save()
}

func (s *saver) save() {
	s.mu.Lock()
	pending := s.pending
	s.pending = map[Query]Stored{}
	s.mu.Unlock()
	for q, stored := range pending {
		if err := s.store.Save(q, stored); err != nil && s.failed != nil {
			s.failed(q, err)
		}
	}
}

// signal wakes whoever reads from c, of which one is enough.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
