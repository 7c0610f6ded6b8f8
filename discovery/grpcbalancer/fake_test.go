// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/serviceconfig"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

// channel is the side of gRPC that a balancer sees, with connections that do what a test
// says. It makes gRPC's own balancers and ours do the same work.
type channel struct {
	balancer.ClientConn
	policy balancer.Balancer
	config serviceconfig.LoadBalancingConfig

	mu      sync.Mutex
	todo    []func()
	conns   map[string]*conn // by address: the last one
	made    int
	state   balancer.State
	updates int
	refuse  map[string]error // what cannot be reached
}

// conn is one connection.
type conn struct {
	balancer.SubConn
	c       *channel
	address string
	listen  func(balancer.SubConnState)
	health  func(balancer.SubConnState)
	closed  bool
}

func newChannel(t testing.TB, policy, config string) *channel {
	t.Helper()
	b := balancer.Get(policy)
	if b == nil {
		t.Fatalf("there is no policy %s", policy)
	}
	c := &channel{conns: map[string]*conn{}, refuse: map[string]error{}}
	if p, ok := b.(balancer.ConfigParser); ok {
		parsed, err := p.ParseConfig(json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		c.config = parsed
	}
	c.policy = b.Build(c, balancer.BuildOptions{})
	t.Cleanup(c.policy.Close)
	return c
}

// resolve tells the balancer of endpoints, and connects.
func (c *channel) resolve(t testing.TB, endpoints ...resolver.Endpoint) {
	t.Helper()
	if err := c.policy.UpdateClientConnState(balancer.ClientConnState{
		ResolverState: resolver.State{Endpoints: endpoints}, BalancerConfig: c.config,
	}); err != nil {
		t.Fatal(err)
	}
	c.settle()
}

// settle does what connections have to do, until there is no more.
func (c *channel) settle() {
	for {
		c.mu.Lock()
		todo := c.todo
		c.todo = nil
		c.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for _, f := range todo {
			f()
		}
	}
}

func (c *channel) later(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, f)
}

func (c *channel) picker() balancer.Picker {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Picker
}

func (c *channel) current() connectivity.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.ConnectivityState
}

// pick returns the address of a picked connection and the end of the call.
func (c *channel) pick(t testing.TB) (string, func(balancer.DoneInfo)) {
	t.Helper()
	r, err := c.picker().Pick(balancer.PickInfo{FullMethodName: "/orders.Orders/Get", Ctx: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	done := r.Done
	if done == nil {
		done = func(balancer.DoneInfo) {}
	}
	return r.SubConn.(*conn).address, done
}

func (c *channel) UpdateState(s balancer.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	c.updates++
}

func (c *channel) NewSubConn(a []resolver.Address, opts balancer.NewSubConnOptions) (balancer.SubConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sc := &conn{c: c, address: a[0].Addr, listen: opts.StateListener}
	c.conns[sc.address] = sc
	c.made++
	return sc, nil
}

func (c *channel) ResolveNow(resolver.ResolveNowOptions)  {}
func (c *channel) Target() string                         { return "test:///orders" }
func (c *channel) MetricsRecorder() stats.MetricsRecorder { return noMetrics{} }

// at returns the connection to an address.
func (c *channel) at(address string) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns[address]
}

func (sc *conn) Connect() {
	sc.c.mu.Lock()
	err := sc.c.refuse[sc.address]
	sc.c.mu.Unlock()
	sc.c.later(func() {
		sc.tell(connectivity.Connecting, nil)
		if err != nil {
			sc.tell(connectivity.TransientFailure, err)
			return
		}
		sc.tell(connectivity.Ready, nil)
	})
}

func (sc *conn) tell(s connectivity.State, err error) {
	if !sc.closed {
		sc.listen(balancer.SubConnState{ConnectivityState: s, ConnectionError: err})
	}
}

func (sc *conn) RegisterHealthListener(f func(balancer.SubConnState)) {
	sc.health = f
	sc.c.later(func() { f(balancer.SubConnState{ConnectivityState: connectivity.Ready}) })
}

func (sc *conn) Shutdown()                          { sc.c.later(func() { sc.closed = true }) }
func (sc *conn) UpdateAddresses([]resolver.Address) {}

type noMetrics struct{ stats.MetricsRecorder }

// endpoints returns n endpoints of instances with weight 1.
func endpoints(n int) []resolver.Endpoint {
	out := make([]resolver.Endpoint, n)
	for i := range out {
		out[i] = endpointOf(&discovery.Instance{
			Namespace: "test", Service: "orders", ID: fmt.Sprintf("orders-%05d", i),
			Address: fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), Weight: 1,
		})
	}
	return out
}

func endpointOf(in *discovery.Instance) resolver.Endpoint {
	return grpcresolver.SetInstance(resolver.Endpoint{Addresses: []resolver.Address{{Addr: in.Address}}}, in)
}
