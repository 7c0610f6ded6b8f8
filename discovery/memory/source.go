// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/fairlead-go/fairlead/discovery"
)

// source is one watch.
type source struct {
	registry *Registry
	q        discovery.Query
	wake     chan struct{}
	closed   chan struct{}
	once     sync.Once

	// What follows is guarded by the registry's lock.
	full  bool // the next update has to be
	cut   error
	dirty map[string]struct{}            // ids that may have changed
	sent  map[string]*discovery.Instance // as they were last returned
	told  int                            // malformed entries returned
}

// Watch implements [discovery.Catalog].
func (r *Registry) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err := r.gate(ctx); err != nil {
		return nil, err
	}
	s := &source{
		registry: r, q: q, wake: make(chan struct{}, 1), closed: make(chan struct{}),
		full: true, dirty: map[string]struct{}{}, sent: map[string]*discovery.Instance{},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.service(q).sources[s] = struct{}{}
	return s, nil
}

// changed tells all who watch of an id. It requires the registry's lock.
func (s *service) changed(ids ...string) {
	for src := range s.sources {
		for _, id := range ids {
			src.dirty[id] = struct{}{}
		}
		src.signal()
	}
}

func (s *source) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next implements [discovery.Source].
func (s *source) Next(ctx context.Context) (discovery.Update, error) {
	if err := s.registry.gate(ctx); err != nil {
		return discovery.Update{}, s.failed(ctx, err)
	}
	for {
		f := s.registry.present()
		if f.down {
			return discovery.Update{}, s.failed(ctx, ErrAway)
		}
		if !f.hangs {
			if u, found, err := s.collect(); found || err != nil {
				return u, err
			}
		}
		select {
		case <-s.wake:
		case <-f.changed:
		case <-s.closed:
			return discovery.Update{}, s.closedError()
		case <-ctx.Done():
			return discovery.Update{}, ctx.Err()
		}
	}
}

// failed notes that the next update has to be a full one, unless it was the caller's
// context that ended.
func (s *source) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		s.registry.mu.Lock()
		defer s.registry.mu.Unlock()
		s.full = true
	}
	return err
}

func (s *source) closedError() error {
	return fmt.Errorf("memory: watch %s: %w", s.q, discovery.ErrClosed)
}

// collect returns what is new.
func (s *source) collect() (u discovery.Update, found bool, err error) {
	r := s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-s.closed:
		return u, false, s.closedError()
	default:
	}
	if s.cut != nil {
		err, s.cut, s.full = s.cut, nil, true
		return u, false, err
	}
	if s.full {
		return s.all(), true, nil
	}
	svc := r.service(s.q)
	for _, id := range slices.Sorted(maps.Keys(s.dirty)) {
		in := r.shown(svc.entries[id])
		switch in {
		case s.sent[id]:
		case nil:
			u.Remove = append(u.Remove, id)
			delete(s.sent, id)
		default:
			u.Put = append(u.Put, *in)
			s.sent[id] = in
		}
	}
	clear(s.dirty)
	if len(svc.malformed) != s.told {
		u.Malformed = svc.allMalformed()
		s.told = len(u.Malformed)
	}
	return u, len(u.Put)+len(u.Remove)+len(u.Malformed) > 0, nil
}

// all returns all there is. It requires the registry's lock.
func (s *source) all() discovery.Update {
	svc := s.registry.service(s.q)
	u := discovery.Update{Full: true, Malformed: svc.allMalformed()}
	s.full, s.told = false, len(u.Malformed)
	clear(s.dirty)
	clear(s.sent)
	for id, e := range svc.entries {
		if in := s.registry.shown(e); in != nil {
			s.sent[id] = in
			u.Put = append(u.Put, *in)
		}
	}
	slices.SortFunc(u.Put, func(a, b discovery.Instance) int { return strings.Compare(a.ID, b.ID) })
	return u
}

// shown returns what those who watch get of an entry. It requires the lock.
func (r *Registry) shown(e *entry) *discovery.Instance {
	if e == nil || r.faults.hidden {
		return nil
	}
	return e.instance
}

func (s *service) allMalformed() []discovery.Malformed {
	var all []discovery.Malformed
	for _, key := range slices.Sorted(maps.Keys(s.malformed)) {
		all = append(all, s.malformed[key].Malformed)
	}
	return all
}

// Close implements [discovery.Source].
func (s *source) Close() error {
	s.once.Do(func() {
		close(s.closed)
		r := s.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.service(s.q).sources, s)
		r.drop(s.q)
	})
	return nil
}
