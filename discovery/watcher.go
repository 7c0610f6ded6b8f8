// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Watcher watches the services of one environment for all who call them in a process.
// Each service is watched once, on one goroutine, however many subscribe to it. Use
// [NewWatcher]. It is safe for concurrent use.
type Watcher struct {
	catalog   Catalog
	namespace Namespace
	cfg       watcherConfig
	saver     *saver // nil without a store
	stopSaver context.CancelFunc

	mu       sync.Mutex
	services map[Query]*service
	// kept is what was known of services that nobody watches at the moment: a gRPC
	// connection that was idle must not find itself without a registry and without
	// instances.
	kept   map[Query]*Snapshot
	closed bool
	wg     sync.WaitGroup // of services
}

// maxKept bounds the services that are kept without subscribers.
const maxKept = 1000

// NewWatcher returns a watcher of a catalog for processes of one environment, such as
// [NamespaceFromEnv] returns it. It fails on values that make no sense. The goroutines
// of its services end with [Watcher.Close].
func NewWatcher(catalog Catalog, namespace Namespace, opts ...WatcherOption) (*Watcher, error) {
	cfg, err := newWatcherConfig(opts)
	if err := errors.Join(namespace.Validate(), err); err != nil {
		return nil, err
	}
	w := &Watcher{catalog: catalog, namespace: namespace, cfg: cfg, services: map[Query]*service{}, kept: map[Query]*Snapshot{}}
	if cfg.store != nil {
		ctx, cancel := context.WithCancel(context.Background())
		w.saver, w.stopSaver = newSaver(cfg.store, cfg.storeInterval, cfg.observer.StoreFailed), cancel
		go w.saver.run(ctx)
	}
	return w, nil
}

// Namespace returns the environment whose services are watched.
func (w *Watcher) Namespace() Namespace { return w.namespace }

// Subscribe begins to watch a service, or joins those who do. It does not wait for the
// registry. A query for another environment than the watcher's is refused
// ([ErrForeignNamespace]).
//
// If notify is not nil, it is called with each new snapshot and, before Subscribe
// returns, with the present one if something is known. It is called on the service's
// one goroutine, one call at a time, without a lock that any method here takes: it may
// call them, and must not block. While it runs, changes are not lost: the latest
// follows. It may still run once after [Subscription.Close].
func (w *Watcher) Subscribe(q Query, notify func(*Snapshot)) (*Subscription, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if q.Namespace != w.namespace {
		return nil, fmt.Errorf("%w: query %s from a process of %q: a process sees the services of its own environment alone", ErrForeignNamespace, q, w.namespace)
	}
	sub := &Subscription{notify: notify, closed: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil, fmt.Errorf("discovery: watch %s: %w", q, ErrClosed)
	}
	s := w.services[q]
	if s == nil {
		s = newService(w, q, w.kept[q])
		w.services[q] = s
		delete(w.kept, q)
		s.start()
	}
	sub.service = s
	s.add(sub)
	w.mu.Unlock()
	sub.deliver(s.current())
	return sub, nil
}

// leave takes a subscription away from its service, and ends the service with the
// last.
func (w *Watcher) leave(sub *Subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := sub.service
	if s.remove(sub) > 0 || w.services[s.q] != s {
		return
	}
	s.cancel()
	delete(w.services, s.q)
	if snap := s.current().snapshot; snap.Origin != OriginNone {
		w.keep(snap)
	}
}

// keep requires mu.
func (w *Watcher) keep(snap *Snapshot) {
	if len(w.kept) >= maxKept {
		oldest := snap
		for _, k := range w.kept {
			if k.At.Before(oldest.At) {
				oldest = k
			}
		}
		delete(w.kept, oldest.Query)
	}
	w.kept[snap.Query] = snap
}

// Close ends all watches and subscriptions, writes what is to be stored, and waits for
// that. It can be called twice. It must not be called by a notify function or an
// observer.
func (w *Watcher) Close() error {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	services := w.all()
	w.services = map[Query]*service{}
	w.mu.Unlock()
	for _, s := range services {
		s.cancel()
		s.closeSubscriptions()
	}
	w.wg.Wait()
	if w.saver != nil {
		if first {
			w.stopSaver()
		}
		<-w.saver.done
	}
	return nil
}

// all returns the services in the order of their names. It requires mu.
func (w *Watcher) all() []*service {
	all := make([]*service, 0, len(w.services))
	for _, s := range w.services {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *service) int { return cmp.Compare(a.q.Service, b.q.Service) })
	return all
}

// WatchStatus is how the watch of a service is doing.
type WatchStatus struct {
	Snapshot    *Snapshot
	Subscribers int
	// Failures is how often in a row the registry could not be asked.
	Failures int
	// Skipped is how many entries were left out because they make no valid instance
	// of the service, each counted once, up to 1000.
	Skipped int
}

// Status returns how the watches are doing, in the order of the services' names.
func (w *Watcher) Status() []WatchStatus {
	w.mu.Lock()
	services := w.all()
	w.mu.Unlock()
	out := make([]WatchStatus, len(services))
	for i, s := range services {
		out[i] = s.status()
	}
	return out
}

// Check is a health check: it fails if the registry cannot be asked about a service,
// or if instances are held that it does not list. It says so even though callers are
// served: do not make it one that fails readiness.
func (w *Watcher) Check(context.Context) error {
	var errs []error
	for _, st := range w.Status() {
		switch s := st.Snapshot; {
		case s.Err != nil:
			errs = append(errs, fmt.Errorf("%s: %s, %d instances as of %s: %w", s.Query, s.Origin, s.Instances.Len(), s.At.UTC().Format(time.RFC3339), s.Err))
		case s.Hold != HoldNone:
			errs = append(errs, fmt.Errorf("discovery: %s: %d of %d instances are not listed by the registry and held (%s)", s.Query, s.Held, s.Instances.Len(), s.Hold))
		}
	}
	return errors.Join(errs...)
}
