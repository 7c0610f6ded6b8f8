// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// DefaultMaxServices is how many downstream services a [Registry] keeps breakers
// for by default.
const DefaultMaxServices = 1000

// OtherServices is the name of the breaker that stands for all services beyond
// the most that a [Registry] keeps.
const OtherServices = "_OTHER"

// Registry keeps a breaker for each downstream service, so that all that call one
// share it: unary calls, streams and HTTP. Use [NewRegistry]. It is safe for
// concurrent use; finding a breaker takes no lock, and breakers share none.
//
// The number of services is bounded, because a name that came from outside would
// otherwise fill the memory. Services beyond it are called without protection,
// through a breaker named [OtherServices] that is always closed: one that they
// shared in earnest would let the worst of them shut out the others. The observer
// is told of it once, as a degradation.
type Registry struct {
	cfg    config
	own    map[string]config // of the services that have options of their own
	max    int
	others *Breaker

	mu       sync.Mutex // held to add to breakers
	breakers atomic.Pointer[map[string]*Breaker]
	overflow sync.Once
}

// RegistryOption changes a [Registry] under construction. Each [Option] is one,
// for all services.
type RegistryOption interface{ applyRegistry(*registryConfig) }

type registryOption func(*registryConfig)

func (o registryOption) applyRegistry(c *registryConfig) { o(c) }

type registryConfig struct {
	defaults []Option
	services map[string][]Option
	max      int
}

// WithService adds options for the breaker of one service; they come after those
// for all.
func WithService(service string, opts ...Option) RegistryOption {
	return registryOption(func(c *registryConfig) {
		c.services[service] = append(c.services[service], opts...)
	})
}

// WithMaxServices sets how many services get breakers. The default is
// [DefaultMaxServices].
func WithMaxServices(n int) RegistryOption {
	return registryOption(func(c *registryConfig) { c.max = n })
}

// NewRegistry returns an empty registry. It fails on options that make no sense,
// also on those for a single service.
func NewRegistry(opts ...RegistryOption) (*Registry, error) {
	c := registryConfig{services: map[string][]Option{}, max: DefaultMaxServices}
	for _, o := range opts {
		o.applyRegistry(&c)
	}
	cfg, err := newConfig(c.defaults)
	errs := []error{err}
	own := make(map[string]config, len(c.services))
	for _, service := range slices.Sorted(maps.Keys(c.services)) {
		if service == "" {
			errs = append(errs, errNoName)
		}
		own[service], err = newConfig(slices.Concat(c.defaults, c.services[service]))
		if err != nil {
			errs = append(errs, fmt.Errorf("breaker: service %q: %w", service, err))
		}
	}
	if c.max < 1 {
		errs = append(errs, fmt.Errorf("breaker: max services %d: must be at least 1", c.max))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r := &Registry{cfg: cfg, own: own, max: c.max, others: newBreaker(OtherServices, cfg)}
	r.others.forced = true
	r.breakers.Store(&map[string]*Breaker{})
	return r, nil
}

// For returns the breaker of a downstream service, always the same for the same
// name.
func (r *Registry) For(service string) *Breaker {
	if b, ok := (*r.breakers.Load())[service]; ok {
		return b
	}
	if b := r.add(service); b != nil {
		return b
	}
	r.overflow.Do(func() { r.degraded(service) })
	return r.others
}

// add returns the breaker of a service that may be new, or nil if there are too
// many.
func (r *Registry) add(service string) *Breaker {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.breakers.Load()
	if b, ok := old[service]; ok {
		return b
	}
	if len(old) >= r.max {
		return nil
	}
	cfg, ok := r.own[service]
	if !ok {
		cfg = r.cfg
	}
	b := newBreaker(service, cfg)
	breakers := maps.Clone(old)
	breakers[service] = b
	r.breakers.Store(&breakers)
	return b
}

// Snapshot returns what the breakers know, in the order of their names.
func (r *Registry) Snapshot() []Snapshot {
	breakers := *r.breakers.Load()
	out := make([]Snapshot, 0, len(breakers))
	for _, b := range breakers {
		out = append(out, b.Snapshot())
	}
	slices.SortFunc(out, func(a, b Snapshot) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (r *Registry) degraded(service string) {
	if r.cfg.observer.Degraded == nil {
		return
	}
	r.cfg.observer.Degraded(context.Background(), resilience.Degradation{
		Policy: resilience.PolicyBreaker,
		Name:   OtherServices,
		Since:  time.Now(),
		Err:    fmt.Errorf("breaker: service %q and others are called unprotected: there are breakers for %d services already", service, r.max),
	})
}
