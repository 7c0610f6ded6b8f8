// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/balancer/weight"
	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/discovery"
	core "github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

// connection is the balancer of one grpc.ClientConn: a pick_first for each endpoint,
// which keeps it connected, and a core that chooses among those that are.
//
// Locks are taken in this order: a child's, its pick_first's, this one's, the core's.
type connection struct {
	cc   balancer.ClientConn
	opts balancer.BuildOptions
	leaf balancer.Builder

	mu       sync.Mutex
	closed   bool
	config   *config
	monitor  *Monitor
	core     *core.Balancer
	children map[key]*child
	order    []*child // in the order of the resolver's endpoints
	// generation counts updates.
	generation uint64
	common     *attributes.Attributes         // those of the last resolver state
	states     [connectivity.Shutdown + 1]int // children by state
	failure    balancer.Picker                // says why the last one failed that did
	quiet      bool                           // an update is being made: its end is told, and nothing before
}

var _ balancer.Balancer = (*connection)(nil)

// key is what makes an endpoint the same: the instance's id and its addresses.
type key struct{ id, addresses string }

func newConnection(cc balancer.ClientConn, opts balancer.BuildOptions) *connection {
	return &connection{
		cc: cc, opts: opts, leaf: balancer.Get(pickfirst.Name), children: map[key]*child{},
		failure: base.NewErrPicker(errors.New("grpcbalancer: the resolver has no endpoints")),
	}
}

// UpdateClientConnState implements [balancer.Balancer]. Endpoints that are as they were
// are left alone.
func (c *connection) UpdateClientConnState(s balancer.ClientConnState) error {
	cfg, _ := s.BalancerConfig.(*config)
	if cfg == nil {
		cfg = &config{} // it was asked for by its name alone
	}
	c.mu.Lock()
	c.quiet = true
	c.configure(cfg, s.ResolverState.Attributes)
	update, remove := c.reconcile(s.ResolverState)
	c.common = s.ResolverState.Attributes
	c.mu.Unlock()

	common := pickfirst.EnableHealthListener(resolver.State{Attributes: s.ResolverState.Attributes}).Attributes
	var first error
	for _, child := range update {
		if err := child.update(common); err != nil && first == nil {
			first = err
		}
	}
	for _, child := range remove {
		child.close()
	}
	c.loud()
	if len(s.ResolverState.Endpoints) == 0 {
		return balancer.ErrBadResolverState
	}
	return first
}

// ResolverError implements [balancer.Balancer]. What is known stays in use.
func (c *connection) ResolverError(err error) {
	c.mu.Lock()
	if len(c.children) == 0 {
		c.failure = base.NewErrPicker(err)
	}
	c.mu.Unlock()
	c.each(func(child *child) { child.resolverError(err) })
}

// UpdateSubConnState implements [balancer.Balancer]. It is not called: pick_first listens
// for itself.
func (c *connection) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle implements [balancer.Balancer].
func (c *connection) ExitIdle() { c.each((*child).exitIdle) }

// Close implements [balancer.Balancer].
func (c *connection) Close() {
	c.mu.Lock()
	c.closed = true
	if c.core != nil {
		c.monitor.remove(c.core)
	}
	c.mu.Unlock()
	c.each((*child).close)
}

// each calls all children, and tells the end of it.
func (c *connection) each(f func(*child)) {
	c.mu.Lock()
	c.quiet = true
	all := make([]*child, 0, len(c.children))
	for _, child := range c.children {
		all = append(all, child)
	}
	c.mu.Unlock()
	for _, child := range all {
		f(child)
	}
	c.loud()
}

func (c *connection) loud() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = false
	c.publish()
}

// configure makes a core for a configuration, if it is another one than before. What was
// known of endpoints is forgotten then; their connections stay.
func (c *connection) configure(cfg *config, common *attributes.Attributes) {
	if c.core != nil && c.config.text == cfg.text {
		return
	}
	monitor, _ := common.Value(monitorKey{}).(*Monitor)
	target := c.opts.Target.Endpoint()
	fresh, err := core.New(append(slices.Clone(cfg.options), monitor.options(target))...)
	if err != nil {
		panic("grpcbalancer: a config that was parsed is invalid: " + err.Error())
	}
	if c.core != nil {
		c.monitor.remove(c.core)
	}
	c.config, c.core, c.monitor = cfg, fresh, monitor
	monitor.add(target, fresh)
	fresh.Edit(func(e *core.Edit) {
		for _, child := range c.children {
			child.sit(e)
		}
	})
}

// reconcile makes the children those of a resolver's state. It returns which of them are
// to be told, and which are to be closed. Endpoints that are as they were, in the order in
// which they were, cost a comparison.
func (c *connection) reconcile(s resolver.State) (update, remove []*child) {
	everybody := !s.Attributes.Equal(c.common)
	endpoints := c.wanted(s.Endpoints)
	before, order := c.order, make([]*child, 0, len(endpoints))
	next := 0 // of those before
	c.generation++
	c.core.Edit(func(edit *core.Edit) {
		for _, e := range endpoints {
			var ch *child
			if next < len(before) && !everybody && same(before[next].resolved, e) {
				ch = before[next]
			} else if len(e.Addresses) > 0 {
				var changed bool
				if ch, changed = c.find(edit, e); changed || everybody {
					update = append(update, ch)
				}
			}
			if ch == nil || ch.generation == c.generation {
				continue // no address, or once more
			}
			if ch.place < len(before) && before[ch.place] == ch {
				next = ch.place + 1
			}
			ch.generation, ch.place = c.generation, len(order)
			order = append(order, ch)
		}
		for _, old := range before {
			if old.generation != c.generation {
				edit.Remove(old.seat.Endpoint)
				delete(c.children, old.key)
				old.removed = true
				c.states[old.state]--
				remove = append(remove, old)
			}
		}
	})
	c.order = order
	return update, remove
}

// find returns the child of an endpoint, made if there is none, and whether it has to be told.
func (c *connection) find(edit *core.Edit, e resolver.Endpoint) (*child, bool) {
	in := instanceOf(e)
	k := keyOf(e, in)
	ch := c.children[k]
	switch {
	case ch == nil:
		ch = newChild(c, k)
		ch.resolved, ch.instance = e, in
		ch.sit(edit)
		c.children[k] = ch
		c.states[ch.state]++
		return ch, true
	case same(ch.resolved, e):
		return ch, false
	}
	if !ch.instance.Equal(in) {
		edit.Replace(ch.seat.Endpoint, in)
	}
	ch.resolved, ch.instance = e, in
	return ch, true
}

// wanted returns the endpoints to use: all, or the subset.
func (c *connection) wanted(endpoints []resolver.Endpoint) []resolver.Endpoint {
	if c.config.subset == nil || len(endpoints) <= c.config.subset.Size {
		return endpoints
	}
	seen := make(map[key]bool, len(endpoints))
	byInstance := make(map[*discovery.Instance]resolver.Endpoint, len(endpoints))
	for _, e := range endpoints {
		if len(e.Addresses) == 0 {
			continue
		}
		in := instanceOf(e)
		if k := keyOf(e, in); !seen[k] {
			seen[k] = true
			byInstance[in] = e
		}
	}
	out := make([]resolver.Endpoint, 0, c.config.subset.Size)
	for in := range core.Subset(maps.Keys(byInstance), c.config.subset.Size, c.config.subset.Client) {
		out = append(out, byInstance[in])
	}
	return out
}

// instanceOf returns the instance behind an endpoint, or one that stands for the endpoint of
// another resolver than ours.
func instanceOf(e resolver.Endpoint) *discovery.Instance {
	if in := grpcresolver.InstanceFrom(e); in != nil {
		return in
	}
	return &discovery.Instance{
		ID: e.Addresses[0].Addr, Address: e.Addresses[0].Addr,
		Weight: max(int(weight.FromEndpoint(e).Weight), 1),
	}
}

func keyOf(e resolver.Endpoint, in *discovery.Instance) key {
	if len(e.Addresses) == 1 {
		return key{in.ID, e.Addresses[0].Addr}
	}
	addresses := make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		addresses[i] = a.Addr
	}
	slices.Sort(addresses)
	return key{in.ID, strings.Join(addresses, " ")}
}

// same reports whether an endpoint is what it was, as far as that is cheap to say.
func same(a, b resolver.Endpoint) bool {
	return a.Attributes == b.Attributes && slices.EqualFunc(a.Addresses, b.Addresses, resolver.Address.Equal)
}

// publish tells gRPC how things are.
func (c *connection) publish() {
	if c.quiet || c.closed {
		return
	}
	s := balancer.State{ConnectivityState: connectivity.TransientFailure, Picker: c.failure}
	switch {
	case c.states[connectivity.Ready] > 0:
		s = balancer.State{ConnectivityState: connectivity.Ready, Picker: picker{c.core}}
	case c.states[connectivity.Connecting] > 0:
		s = balancer.State{ConnectivityState: connectivity.Connecting, Picker: waiting}
	case c.states[connectivity.Idle] > 0:
		s = balancer.State{ConnectivityState: connectivity.Idle, Picker: waiting} // it connects by itself
	}
	c.cc.UpdateState(s)
}

// waiting has calls wait for another picker.
var waiting = base.NewErrPicker(balancer.ErrNoSubConnAvailable)
