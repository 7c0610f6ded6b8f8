// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"iter"
	"maps"
	"sync"

	"google.golang.org/grpc/resolver"

	core "github.com/fairlead-go/fairlead/discovery/balancer"
)

// Monitor knows the balancers of connections: for metrics, and to be told what they do.
// gRPC makes balancers itself, from a service config, which has no place for that; so they
// are told by what the resolver passes on. It is safe for concurrent use.
type Monitor struct {
	option func(target string) core.Option

	mu        sync.Mutex
	balancers map[*core.Balancer]string
}

// NewMonitor returns a monitor. option is called for each new balancer, with what its
// connection's target names, such as "orders" for consul:///orders, and returns a further
// option of that one, which wins over its configuration: who is to be told what it does
// (balancer.WithObserver), for one, or several (balancer.Options). A subset is a matter of
// the configuration alone: it is taken before there are connections. nil is no option.
func NewMonitor(option func(target string) core.Option) *Monitor {
	return &Monitor{option: option, balancers: map[*core.Balancer]string{}}
}

// Resolver returns a resolver that makes the monitor know the balancers of connections that
// use it, for grpc.WithResolvers.
func (m *Monitor) Resolver(b resolver.Builder) resolver.Builder {
	out := monitored{b, m}
	if o, ok := b.(resolver.AuthorityOverrider); ok {
		return struct {
			monitored
			resolver.AuthorityOverrider
		}{out, o}
	}
	return out
}

// All returns the balancers there are, each with what its connection's target names.
func (m *Monitor) All() iter.Seq2[*core.Balancer, string] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.All(maps.Clone(m.balancers))
}

func (m *Monitor) options(target string) core.Option {
	if m == nil || m.option == nil {
		return core.Options()
	}
	return m.option(target)
}

func (m *Monitor) add(target string, b *core.Balancer) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.balancers[b] = target
	}
}

func (m *Monitor) remove(b *core.Balancer) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.balancers, b)
	}
}

type monitorKey struct{}

type monitored struct {
	resolver.Builder
	m *Monitor
}

func (b monitored) Build(t resolver.Target, cc resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	return b.Builder.Build(t, passing{cc, b.m}, opts)
}

// passing adds the monitor to what a resolver says.
type passing struct {
	resolver.ClientConn
	m *Monitor
}

func (p passing) UpdateState(s resolver.State) error {
	s.Attributes = s.Attributes.WithValue(monitorKey{}, p.m)
	return p.ClientConn.UpdateState(s)
}
