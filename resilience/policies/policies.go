// SPDX-License-Identifier: Apache-2.0

package policies

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

// DefaultMaxServices is how many downstream services a [Set] keeps policies for by
// default.
const DefaultMaxServices = 1000

// OtherServices is the name of the [Service] that stands for all beyond the most that
// a [Set] keeps.
const OtherServices = "_OTHER"

// Set is the policies of one process: those of each downstream service that it calls,
// and its server's. Use [New]; the zero Set is invalid. It is safe for concurrent use
// and needs no closing.
//
// The number of services is bounded, because a name that came from outside would
// otherwise fill the memory. Those named by [WithService] are always there. Services
// beyond the bound are called without any policy, as [OtherServices]: policies that
// they shared would let the worst of them shut out the others. The observer is told of
// it once, as a degradation.
type Set struct {
	cfg    config
	server *Server
	others *Service

	mu       sync.Mutex // held to add to services
	services atomic.Pointer[map[string]*Service]
	overflow sync.Once
	over     atomic.Bool
}

// New returns the policies of a process. It fails on options that make no sense, with
// an [*OptionError] that names service, method, field, value and rule; several are
// joined.
func New(opts ...Option) (*Set, error) {
	cfg := newConfig(opts)
	errs := cfg.validate()
	server, wrong := cfg.buildServer()
	errs = append(errs, wrong.in("server", "")...)

	_, inherited := cfg.buildService(OtherServices) // for its faults alone
	errs = append(errs, inherited.in("defaults", "")...)
	services := make(map[string]*Service, len(cfg.services))
	for _, name := range slices.Sorted(maps.Keys(cfg.services)) {
		if name == "" {
			continue // is wrong by itself
		}
		service, wrong := cfg.buildService(name)
		errs = append(errs, wrong.without(inherited).in("service", name)...)
		services[name] = service
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Set{cfg: cfg, server: server, others: &Service{name: OtherServices, client: &Client{}}}
	s.services.Store(&services)
	return s, nil
}

// Service returns what applies to a downstream service, always the same for the same
// name. It is never nil. A service without a name is one of [OtherServices].
//
// It keeps a service of that name from now on: to look whether there is one, use
// [Set.Lookup].
func (s *Set) Service(name string) *Service {
	services := *s.services.Load()
	if service, ok := services[name]; ok {
		return service
	}
	if name == "" {
		return s.others
	}
	if len(services) < s.cfg.maxServices {
		if service := s.add(strings.Clone(name)); service != nil {
			return service
		}
	}
	s.over.Store(true)
	s.overflow.Do(func() { s.degraded(name) })
	return s.others
}

// Lookup returns the service of that name if there is one, for operators: what they
// mistype must not become a service.
func (s *Set) Lookup(name string) (*Service, bool) {
	service, ok := (*s.services.Load())[name]
	return service, ok
}

// Services returns the services there are so far, in the order of their names.
func (s *Set) Services() []*Service {
	return slices.SortedFunc(maps.Values(*s.services.Load()), func(a, b *Service) int {
		return strings.Compare(a.name, b.name)
	})
}

// Server returns what protects this process from its callers. It is never nil.
func (s *Set) Server() *Server { return s.server }

// add returns the service of a name that may be new, or nil if there are too many.
func (s *Set) add(name string) *Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.services.Load()
	if service, ok := old[name]; ok {
		return service
	}
	if len(old) >= s.cfg.maxServices {
		return nil
	}
	service, _ := s.cfg.buildService(name) // New has seen that nothing is wrong with the defaults
	services := maps.Clone(old)
	services[name] = service
	s.services.Store(&services)
	return service
}

func (s *Set) degraded(name string) {
	if s.cfg.observer.Degraded == nil {
		return
	}
	s.cfg.observer.Degraded(context.Background(), resilience.Degradation{
		Policy: resilience.PolicyBreaker,
		Name:   OtherServices,
		Since:  time.Now(),
		Err:    fmt.Errorf("policies: service %q and others are called without policies: there are %d services already", name, s.cfg.maxServices),
	})
}
