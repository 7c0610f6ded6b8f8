// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Inspect implements [discovery.Inspector]: there is one server, called "memory", which
// leads in term 1 and whose index counts what was written. [Faults.Cluster] makes it say
// something else.
func (r *Registry) Inspect(ctx context.Context) (discovery.Cluster, error) {
	start := time.Now()
	if err := r.gate(ctx); err != nil {
		return discovery.Cluster{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.faults.cluster; c != nil {
		return cloneCluster(*c), nil
	}
	took := time.Since(start)
	return discovery.Cluster{
		Members: []discovery.ClusterMember{{
			Name: "memory", Leader: true, Sees: "memory", Voter: true, Health: discovery.HealthPassing,
			Term: 1, Index: r.revision, Latency: took,
		}},
		Leader: "memory", Latency: took,
	}, nil
}

// Cluster makes the registry say that its servers are like this when it is inspected;
// nil ends it.
func (f Faults) Cluster(c *discovery.Cluster) {
	if c != nil {
		clone := cloneCluster(*c)
		c = &clone
	}
	f.set(func(s *faults) { s.cluster = c })
}

func cloneCluster(c discovery.Cluster) discovery.Cluster {
	c.Members, c.Alarms = slices.Clone(c.Members), slices.Clone(c.Alarms)
	for i := range c.Members {
		c.Members[i].Alarms = slices.Clone(c.Members[i].Alarms)
	}
	return c
}
