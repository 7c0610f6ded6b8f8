// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// TestClusterLosesLeader kills the leader, under registrations and watches through
// another server, and then through an agent that is none.
func TestClusterLosesLeader(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, through := range []string{"another server", "an agent"} {
		t.Run(through, func(t *testing.T) {
			discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
				leader, at := c.leader(t)
				if through == "an agent" {
					at = c.agent
				}
				h := realHarness(t, at)
				h.Settle = 10 * time.Second // an election included
				h.Faults = map[discoverytest.Fault]discoverytest.Play{discoverytest.LeaderLoss: func(t discoverytest.TB) func() {
					leader.kill()
					return func() {
						leader.start(t)
						leader.ready(t)
					}
				}}
				return h
			}, discoverytest.Only(discoverytest.FaultRule(discoverytest.LeaderLoss), discoverytest.SeesChanges))
		})
	}
}
