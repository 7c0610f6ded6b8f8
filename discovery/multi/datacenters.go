// SPDX-License-Identifier: Apache-2.0

package multi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Datacenter is one of several places with a registry of its own.
type Datacenter struct {
	Name    string // for errors
	Catalog discovery.Catalog
}

// Datacenters is the catalogs of datacenters in the order in which they are preferred.
// Use [NewDatacenters]. It is safe for concurrent use. Each of its watches has a
// goroutine for each datacenter, until it is closed; the catalog itself needs no closing.
type Datacenters struct {
	datacenters []Datacenter
	opts        []discovery.WatcherOption

	mu       sync.Mutex
	watchers map[discovery.Namespace][]*discovery.Watcher
}

var _ discovery.Catalog = (*Datacenters)(nil)

// NewDatacenters returns the catalog of datacenters, the preferred one first. opts are
// for how each of them is watched: time limits, back-off, observers. What callers see of
// a loss is decided above, by who watches the result. It fails on names that are empty
// or there twice, and on options that make no sense.
func NewDatacenters(datacenters []Datacenter, opts ...discovery.WatcherOption) (*Datacenters, error) {
	var errs []error
	seen := map[string]bool{}
	if len(datacenters) == 0 {
		errs = append(errs, errors.New("multi: datacenters: must be at least one"))
	}
	for i, dc := range datacenters {
		if dc.Name == "" || seen[dc.Name] {
			errs = append(errs, fmt.Errorf("multi: datacenter %d %q: must have a name of its own", i+1, dc.Name))
		}
		seen[dc.Name] = true
	}
	d := &Datacenters{datacenters: datacenters, watchers: map[discovery.Namespace][]*discovery.Watcher{}}
	// Each is believed, and what was last known of it is kept for as long as it is away.
	d.opts = append([]discovery.WatcherOption{
		discovery.WithEmptyTrusted(), discovery.WithoutChurnBrake(), discovery.WithConfirmTime(time.Millisecond), discovery.WithoutMaxStale(),
	}, opts...)
	if _, err := d.of(discovery.DefaultNamespace); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return d, nil
}

// of returns a watcher of each datacenter for a namespace. Watchers have no goroutine of
// their own.
func (d *Datacenters) of(ns discovery.Namespace) ([]*discovery.Watcher, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w, ok := d.watchers[ns]; ok {
		return w, nil
	}
	var all []*discovery.Watcher
	for _, dc := range d.datacenters {
		w, err := discovery.NewWatcher(dc.Catalog, ns, d.opts...)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	d.watchers[ns] = all
	return all, nil
}

// Watch implements [discovery.Catalog].
func (d *Datacenters) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	watchers, err := d.of(q.Namespace)
	if err != nil {
		return nil, err
	}
	s := &choice{d: d, q: q, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	for _, w := range watchers {
		sub, err := w.Subscribe(q, func(*discovery.Snapshot) { s.signal() })
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		s.subs = append(s.subs, sub)
	}
	return s, nil
}

// choice is a watch of all datacenters, of which one is shown.
type choice struct {
	d      *Datacenters
	q      discovery.Query
	subs   []*discovery.Subscription
	wake   chan struct{}
	closed chan struct{}
	once   sync.Once

	sent   *discovery.Set // what was last returned; nil if the next has to be all
	failed bool           // an error was the last that was returned
}

func (s *choice) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next implements [discovery.Source].
func (s *choice) Next(ctx context.Context) (discovery.Update, error) {
	for {
		select {
		case <-s.closed:
			return discovery.Update{}, fmt.Errorf("multi: watch %s: %w", s.q, discovery.ErrClosed)
		default:
		}
		if err := ctx.Err(); err != nil {
			return discovery.Update{}, err
		}
		if u, found, err := s.look(); found || err != nil {
			return u, err
		}
		select {
		case <-s.wake:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// look returns what is new. It waits for what the preferred ones have to say before it
// takes another, and fails once if none says anything.
func (s *choice) look() (u discovery.Update, found bool, err error) {
	answered := false // one said that there is nothing
	var errs []error
	for i, sub := range s.subs {
		snap := sub.Snapshot()
		if snap.Instances.Len() > 0 {
			u, found = s.take(i, snap.Instances)
			return u, found, nil
		}
		switch {
		case snap.Err == nil:
			answered = true
		case snap.Version == 0 && errors.Is(snap.Err, discovery.ErrNotAnswered):
			return u, false, nil
		default:
			errs = append(errs, fmt.Errorf("multi: datacenter %s: %w", s.d.datacenters[i].Name, snap.Err))
		}
	}
	if answered {
		u, found = s.take(0, discovery.NewSet())
		return u, found, nil
	}
	if s.failed {
		return u, false, nil
	}
	s.failed, s.sent = true, nil
	return u, false, errors.Join(errs...)
}

// take makes an update of what a datacenter has, by what is different from what was last
// returned, of whichever.
func (s *choice) take(i int, set *discovery.Set) (u discovery.Update, found bool) {
	u.Full = s.sent == nil
	d := set.Diff(s.sent)
	s.sent, s.failed = set, false
	if d.Empty() && !u.Full {
		return u, false
	}
	for _, in := range d.Added {
		u.Put = append(u.Put, *in)
	}
	for _, c := range d.Changed {
		u.Put = append(u.Put, *c.To)
	}
	for _, in := range d.Removed {
		u.Remove = append(u.Remove, in.ID)
	}
	u.Fallback = i > 0 && set.Len() > 0
	return u, true
}

// Close implements [discovery.Source].
func (s *choice) Close() error {
	s.once.Do(func() { close(s.closed) })
	for _, sub := range s.subs {
		sub.Close()
	}
	return nil
}
