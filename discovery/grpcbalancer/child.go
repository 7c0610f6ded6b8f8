// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/discovery"
	core "github.com/fairlead-go/fairlead/discovery/balancer"
)

// child is one endpoint with the pick_first that connects it.
type child struct {
	balancer.ClientConn // the connection's, but for UpdateState

	c *connection
	// ready is what picks its connection; nil before there was one.
	ready atomic.Pointer[balancer.Picker]

	key key

	// Under the connection's lock:
	resolved   resolver.Endpoint
	instance   *discovery.Instance
	generation uint64 // of the last update that had it
	place      int    // in the connection's order
	seat       *seat
	state      connectivity.State
	removed    bool

	// mu has the leaf called by one at a time.
	mu     sync.Mutex
	leaf   balancer.Balancer
	closed bool
}

// seat is a child's place in a core: its endpoint's value.
type seat struct {
	*core.Endpoint
	child *child
	done  func(balancer.DoneInfo) // ends calls that are not measured
}

// sit gives the child a place in a core.
func (ch *child) sit(e *core.Edit) {
	s := &seat{child: ch}
	s.done = s.end
	s.Endpoint = e.Add(ch.instance, s, ch.state != connectivity.Ready)
	ch.seat = s
}

func (s *seat) end(info balancer.DoneInfo) { end(s.Unmeasured(), info) }

func newChild(c *connection, k key) *child {
	child := &child{ClientConn: c.cc, c: c, key: k, state: connectivity.Connecting}
	child.leaf = c.leaf.Build(child, c.opts)
	return child
}

// UpdateState implements [balancer.ClientConn] for the leaf. As soon as it is not ready
// any more, it is out of picks.
func (ch *child) UpdateState(s balancer.State) {
	c := ch.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch.removed || c.closed {
		return
	}
	c.states[ch.state]--
	ch.state = s.ConnectivityState
	c.states[ch.state]++
	switch s.ConnectivityState {
	case connectivity.Ready:
		ch.ready.Store(&s.Picker)
		ch.seat.Resume()
	case connectivity.TransientFailure:
		ch.seat.Lost()
		c.failure = s.Picker
	default:
		ch.seat.Suspend()
	}
	c.publish()
	if s.ConnectivityState == connectivity.Idle {
		go ch.exitIdle() // not from here: the leaf holds its lock
	}
}

// update tells the leaf of its endpoint.
func (ch *child) update(common *attributes.Attributes) error {
	ch.c.mu.Lock()
	s := balancer.ClientConnState{ResolverState: resolver.State{Endpoints: []resolver.Endpoint{ch.resolved}, Attributes: common}}
	ch.c.mu.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.leaf.UpdateClientConnState(s)
}

func (ch *child) resolverError(err error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.leaf.ResolverError(err)
}

// exitIdle connects again.
func (ch *child) exitIdle() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.closed {
		ch.leaf.ExitIdle()
	}
}

// close ends the connection when the calls on it have ended.
func (ch *child) close() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.closed {
		ch.closed = true
		ch.leaf.Close()
	}
}
