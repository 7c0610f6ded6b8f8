// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// Inspect implements [discovery.Inspector]. It asks the agent for the configuration of
// Raft, which any server knows, and the leader for what autopilot makes of the others.
// That takes a token with operator:read; without one it is told who leads and where the
// servers are, and takes those addresses for their names.
//
// See https://developer.hashicorp.com/consul/api-docs/operator/autopilot#read-health.
func (b *Backend) Inspect(ctx context.Context) (discovery.Cluster, error) {
	c := discovery.Cluster{FaultTolerance: -1}
	raft, err := timed(&c, func() (*api.RaftConfiguration, error) {
		return b.client.Operator().RaftGetConfiguration((&api.QueryOptions{AllowStale: true}).WithContext(ctx))
	})
	if err = b.fault(ctx, "inspect", err); errors.Is(err, ErrDenied) {
		return b.inspectStatus(ctx, c)
	} else if err != nil {
		return discovery.Cluster{}, err
	}
	byID := map[string]int{}
	for _, s := range raft.Servers {
		byID[s.ID] = len(c.Members)
		c.Members = append(c.Members, discovery.ClusterMember{
			Name: memberName(s.Node, s.ID), Address: s.Address, Leader: s.Leader, Voter: s.Voter, Index: s.LastIndex,
		})
	}
	health, err := timed(&c, func() (*api.OperatorHealthReply, error) {
		return b.client.Operator().AutopilotServerHealth((&api.QueryOptions{}).WithContext(ctx))
	})
	if err == nil {
		c.FaultTolerance = health.FailureTolerance
		for i := range health.Servers {
			judge(&c, byID, &health.Servers[i])
		}
	} else if err = b.fault(ctx, "inspect", err); ctx.Err() != nil {
		return discovery.Cluster{}, err
	}
	for i := range c.Members {
		m := &c.Members[i]
		if m.Leader = m.Leader && !errors.Is(err, ErrNoLeader); m.Leader {
			c.Leader = m.Name
		}
	}
	return c, nil
}

func memberName(node, id string) string {
	if node == "" || node == "(unknown)" { // as Raft's configuration says of one that has left
		return id
	}
	return node
}

// judge adds what autopilot, on the leader, knows of a server.
func judge(c *discovery.Cluster, byID map[string]int, s *api.ServerHealth) {
	i, ok := byID[s.ID]
	if !ok { // it is about to join
		i = len(c.Members)
		c.Members = append(c.Members, discovery.ClusterMember{Name: memberName(s.Name, s.ID), Address: s.Address})
	}
	m := &c.Members[i]
	m.Version, m.Leader, m.Voter, m.Term, m.Index = s.Version, s.Leader, s.Voter, s.LastTerm, s.LastIndex
	if m.Health = discovery.HealthPassing; !s.Healthy {
		m.Health = discovery.HealthFailing
		m.Err = fmt.Errorf("consul: autopilot: serf says %q, last contact with the leader %v ago", s.SerfStatus, s.LastContact)
	}
}

// inspectStatus is for tokens that may not ask more: these two requests need none.
func (b *Backend) inspectStatus(ctx context.Context, c discovery.Cluster) (discovery.Cluster, error) {
	opts := (&api.QueryOptions{}).WithContext(ctx)
	leader, leaderErr := timed(&c, func() (string, error) { return b.client.Status().LeaderWithQueryOptions(opts) })
	peers, err := timed(&c, func() ([]string, error) { return b.client.Status().PeersWithQueryOptions(opts) })
	if err != nil && (leaderErr != nil || leader == "") {
		return discovery.Cluster{}, errors.Join(b.fault(ctx, "inspect", leaderErr), b.fault(ctx, "inspect", err))
	}
	if leader != "" && len(peers) == 0 {
		peers = []string{leader}
	}
	for _, p := range peers {
		c.Members = append(c.Members, discovery.ClusterMember{Name: p, Address: p, Leader: p == leader, Voter: true})
		if p == leader {
			c.Leader = p
		}
	}
	return c, nil
}

// timed makes one call of an inspection.
func timed[T any](c *discovery.Cluster, call func() (T, error)) (T, error) {
	start := time.Now()
	v, err := call()
	if err == nil {
		c.Latency = max(c.Latency, time.Since(start))
	}
	return v, err
}
