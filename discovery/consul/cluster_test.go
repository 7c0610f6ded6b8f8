// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// cluster is three servers that elect one of them, and an agent that is none.
type cluster struct {
	servers []*server
	ports   []int // for each other, by server
	agent   *server
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{}
	ports := freePorts(t, 14)
	join := fmt.Sprintf("-retry-join=127.0.0.1:%d", ports[2])
	for n := range 3 {
		p := ports[4*n:]
		c.ports = append(c.ports, p[1])
		c.servers = append(c.servers, newServer(t, fmt.Sprint("s", n), p[0], "-server", "-bootstrap-expect=3", "-data-dir="+t.TempDir(),
			port("-server-port", p[1]), port("-serf-lan-port", p[2]), port("-serf-wan-port", p[3]), join, "-retry-interval=200ms"))
	}
	c.agent = newServer(t, "agent", ports[12], "-data-dir="+t.TempDir(), port("-serf-lan-port", ports[13]), join, "-retry-interval=200ms")
	for _, s := range append(c.servers, c.agent) {
		s.start(t)
	}
	for _, s := range append(c.servers, c.agent) {
		s.ready(t)
	}
	return c
}

// leader returns the server that leads, and one that does not.
func (c *cluster) leader(t discoverytest.TB) (leader, follower *server) {
	t.Helper()
	waitFor(t, "a leader", 20*time.Second, func() bool {
		for _, s := range c.servers {
			var at string
			if s.cmd == nil || s.get("/v1/status/leader", &at) != nil {
				continue
			}
			for n, p := range c.ports {
				if strings.HasSuffix(at, fmt.Sprint(":", p)) && c.servers[n].cmd != nil {
					leader, follower = c.servers[n], c.servers[(n+1)%3]
					return true
				}
			}
		}
		return false
	})
	return leader, follower
}

// either takes one back end for one registration or watch, and the other for the next.
type either struct {
	backends [2]*consul.Backend
	turn     atomic.Uint32
}

func (e *either) next() *consul.Backend { return e.backends[e.turn.Add(1)%2] }

func (e *either) Registration(in discovery.Instance) (discovery.Registration, error) {
	return e.next().Registration(in)
}

func (e *either) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	return e.next().Watch(ctx, q)
}

// TestClusterLosesLeader kills the leader, under registrations and watches of which some
// go through another server and some through an agent that is none. Their time to live is
// longer than an election: until it is over, an agent may take no heartbeats.
func TestClusterLosesLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		leader, follower := c.leader(t)
		h := realHarness(t, follower)
		b := &either{backends: [2]*consul.Backend{newBackend(t, consul.WithAddress(follower.address)), newBackend(t, consul.WithAddress(c.agent.address))}}
		h.Registry, h.Catalog, h.TTL = b, b, 5*time.Second
		h.Faults = map[discoverytest.Fault]discoverytest.Play{discoverytest.LeaderLoss: func(t discoverytest.TB) func() {
			leader.kill()
			return func() {
				leader.start(t)
				leader.ready(t)
			}
		}}
		return h
	}, discoverytest.Only(discoverytest.FaultRule(discoverytest.LeaderLoss)))
}
