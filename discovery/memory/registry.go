// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Registry is a registry in memory. Use [New]. It is safe for concurrent use and needs
// no closing; registrations that nobody renews or removes end by themselves. It can be
// inspected and swept, as a cluster of one.
type Registry struct {
	mu       sync.Mutex
	services map[discovery.Query]*service
	faults   faults
	revision uint64 // counts what is written
}

// service is what is registered under one name, and who watches it.
type service struct {
	entries   map[string]*entry
	malformed map[string]malformed
	sources   map[*source]struct{}
}

// entry is one registration. The instance is never changed, only replaced.
type entry struct {
	instance *discovery.Instance
	ttl      time.Duration // forever, or positive
	expire   *time.Timer   // nil if it does not, or has
	expired  bool          // and is still here, see [Faults.Linger]
	revision uint64
}

// forever is the time to live of what does not expire.
const forever time.Duration = 0

// malformed is an entry that makes no valid instance.
type malformed struct {
	discovery.Malformed
	ours     bool
	revision uint64
}

var (
	_ discovery.Backend   = (*Registry)(nil)
	_ discovery.Inspector = (*Registry)(nil)
	_ discovery.Sweeper   = (*Registry)(nil)
)

// New returns an empty registry.
func New() *Registry {
	return &Registry{services: map[discovery.Query]*service{}, faults: faults{changed: make(chan struct{})}}
}

// service requires mu.
func (r *Registry) service(q discovery.Query) *service {
	s := r.services[q]
	if s == nil {
		s = &service{map[string]*entry{}, map[string]malformed{}, map[*source]struct{}{}}
		r.services[q] = s
	}
	return s
}

// drop forgets a service of which there is nothing left. It requires mu.
func (r *Registry) drop(q discovery.Query) {
	if s := r.services[q]; s != nil && len(s.entries) == 0 && len(s.malformed) == 0 && len(s.sources) == 0 {
		delete(r.services, q)
	}
}

// Instances returns what is registered for a query, failing or not, in the order of
// ids.
func (r *Registry) Instances(q discovery.Query) []discovery.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[q]
	if s == nil {
		return nil
	}
	out := make([]discovery.Instance, 0, len(s.entries))
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		out = append(out, *s.entries[id].instance)
	}
	return out
}

// Registration implements [discovery.Registry].
func (r *Registry) Registration(in discovery.Instance) (discovery.Registration, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	return &registration{r, n}, nil
}

type registration struct {
	registry *Registry
	instance discovery.Instance
}

func (g *registration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("memory: TTL %v: must be positive", ttl)
	}
	r := g.registry
	if err := r.gate(ctx); err != nil {
		return 0, err
	}
	in := g.instance
	in.Health = h
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(&in, ttl)
	return ttl, nil
}

// put requires mu.
func (r *Registry) put(in *discovery.Instance, ttl time.Duration) {
	s := r.service(in.Key().Query())
	e := s.entries[in.ID]
	if e == nil {
		e = &entry{}
		s.entries[in.ID] = e
	}
	if e.instance == nil || !e.instance.Equal(in) {
		e.instance = in
		s.changed(in.ID)
	}
	e.ttl, e.revision = ttl, r.next()
	r.renew(in.Key(), e)
}

// next returns the revision of a write. It requires mu.
func (r *Registry) next() uint64 {
	r.revision++
	return r.revision
}

// renew starts the entry's time to live. It requires mu.
func (r *Registry) renew(k discovery.Key, e *entry) {
	e.stop()
	if e.expired = false; e.ttl == forever {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(e.ttl, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case e.expire != timer:
		case r.faults.lingers:
			r.linger(k, e)
		default:
			r.remove(k)
		}
	})
	e.expire = timer
}

// linger keeps an entry that has expired, as one that fails. It requires mu.
func (r *Registry) linger(k discovery.Key, e *entry) {
	in := *e.instance
	in.Health = discovery.HealthFailing
	e.instance, e.expire, e.expired, e.revision = &in, nil, true, r.next()
	r.services[k.Query()].changed(k.ID)
}

func (e *entry) stop() {
	if e.expire != nil {
		e.expire.Stop()
		e.expire = nil
	}
}

// remove requires mu.
func (r *Registry) remove(k discovery.Key) {
	s := r.services[k.Query()]
	if s == nil {
		return
	}
	if e := s.entries[k.ID]; e != nil {
		e.stop()
		delete(s.entries, k.ID)
		s.changed(k.ID)
	}
	r.drop(k.Query())
}

func (g *registration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	r := g.registry
	if err := r.gate(ctx); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := g.find()
	if err != nil {
		return 0, err
	}
	if e.instance.Health != h {
		in := *e.instance
		in.Health = h
		e.instance, e.revision = &in, r.next()
		r.services[in.Key().Query()].changed(in.ID)
	}
	r.renew(g.instance.Key(), e)
	return e.ttl, nil
}

func (g *registration) Lookup(ctx context.Context) (discovery.Instance, error) {
	r := g.registry
	if err := r.gate(ctx); err != nil {
		return discovery.Instance{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := g.find()
	if err != nil || r.faults.hidden {
		return discovery.Instance{}, fmt.Errorf("memory: %s: %w", g.instance.Key(), discovery.ErrUnknownRegistration)
	}
	return *e.instance, nil
}

func (g *registration) Deregister(ctx context.Context) error {
	r := g.registry
	if err := r.gate(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, err := g.find(); err == nil && e.instance.Address == g.instance.Address {
		r.remove(g.instance.Key())
	}
	return nil
}

// find requires mu.
func (g *registration) find() (*entry, error) {
	k := g.instance.Key()
	if s := g.registry.services[k.Query()]; s != nil {
		if e := s.entries[k.ID]; e != nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("memory: %s: %w", k, discovery.ErrUnknownRegistration)
}
