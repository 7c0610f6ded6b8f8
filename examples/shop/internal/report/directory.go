// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// maxMoves bounds how many moves a Directory keeps: the last ones.
const maxMoves = 1000

// Directory watches services in a registry, as whoever calls them does, and writes down
// what changes. Make it with [NewDirectory]. It is safe for concurrent use.
type Directory struct {
	watcher  *discovery.Watcher
	services []string

	mu    sync.Mutex
	subs  map[string]*discovery.Subscription
	moves []Move
	away  bool
	// Came and went count instances, by service.
	came, went map[string]int
}

// Move is something that changed in a registry.
type Move struct {
	At time.Time
	// Service and Address are of an instance that came or went; empty if it is the
	// registry itself that did.
	Service, Address string
	// Came says that it came; else it went.
	Came bool
	// Left is how many instances of the service there are now.
	Left int
	// Why is why the registry is away, if it is.
	Why string
}

// openTimeout bounds how long a Directory waits for what is there when it is made.
const openTimeout = time.Second

// NewDirectory begins to watch services, and returns when it knows those that are there.
// It must be closed.
func NewDirectory(ctx context.Context, catalog discovery.Catalog, ns discovery.Namespace, services []string, opts ...discovery.WatcherOption) (*Directory, error) {
	d := &Directory{services: services, subs: make(map[string]*discovery.Subscription), came: make(map[string]int), went: make(map[string]int)}
	var err error
	d.watcher, err = discovery.NewWatcher(catalog, ns, append(opts, discovery.WithObserver(discovery.Observer{Delivered: d.delivered}))...)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, name := range services {
		sub, err := d.watcher.Subscribe(discovery.Query{Namespace: ns, Service: name}, nil)
		if err != nil {
			return nil, fmt.Errorf("report: %w", errors.Join(err, d.watcher.Close()))
		}
		d.subs[name] = sub
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for _, sub := range d.subs {
		_ = sub.Ready(ctx) // of a service that is not healthy, there is nobody
	}
	return d, nil
}

// Watcher returns what watches, for those who call the services.
func (d *Directory) Watcher() *discovery.Watcher { return d.watcher }

// Close ends the watch. What was written down stays.
func (d *Directory) Close() error { return d.watcher.Close() }

func (d *Directory) delivered(e discovery.Delivery) {
	now, service := time.Now(), e.Snapshot.Query.Service
	var before *discovery.Set
	if e.Previous != nil {
		before = e.Previous.Instances
	}
	diff := e.Snapshot.Instances.Diff(before)
	d.mu.Lock()
	defer d.mu.Unlock()
	// The services' watches find out one after the other; the first one is the news.
	switch away := e.Snapshot.Err != nil; {
	case away && !d.away:
		d.add(Move{At: now, Why: oneLine(cut(e.Snapshot.Err.Error(), maxValue))})
		d.away = true
	case !away && d.away && e.Snapshot.Origin == discovery.OriginLive:
		d.add(Move{At: now, Came: true})
		d.away = false
	}
	for _, in := range diff.Added {
		d.came[service]++
		d.add(Move{At: now, Service: service, Address: in.Address, Came: true, Left: e.Snapshot.Instances.Len()})
	}
	for _, in := range diff.Removed {
		d.went[service]++
		d.add(Move{At: now, Service: service, Address: in.Address, Left: e.Snapshot.Instances.Len()})
	}
}

// add requires mu.
func (d *Directory) add(m Move) {
	if len(d.moves) == maxMoves {
		d.moves = slices.Delete(d.moves, 0, 1)
	}
	d.moves = append(d.moves, m)
}

// Await waits until callers of a service can call it at an address.
func (d *Directory) Await(ctx context.Context, service, address string) error {
	sub, err := d.watcher.Subscribe(discovery.Query{Namespace: d.watcher.Namespace(), Service: service}, nil)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer sub.Close()
	for {
		snap, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("report: %s at %s is not called: %w", service, address, err)
		}
		for in := range snap.Instances.All() {
			if in.Address == address {
				return nil
			}
		}
	}
}

// Moves returns what changed so far, in the order in which it was seen.
func (d *Directory) Moves() []Move {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.moves)
}

// Listing is what a registry says of a service.
type Listing struct {
	Service string
	// Came and Went count instances since the directory was made.
	Came, Went int
	// Addresses are those that are called now, Held of which the registry does not list
	// any more.
	Addresses []string
	Held      int
}

// Listings returns what there is now, in the order of the services.
func (d *Directory) Listings() []Listing {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Listing
	for _, name := range d.services {
		snap := d.subs[name].Snapshot()
		l := Listing{Service: name, Came: d.came[name], Went: d.went[name], Held: snap.Held}
		for in := range snap.Instances.All() {
			l.Addresses = append(l.Addresses, in.Address)
		}
		slices.Sort(l.Addresses)
		all = append(all, l)
	}
	return all
}
