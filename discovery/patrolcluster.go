// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"time"
)

// Inspector is a back end that can say how the servers of its registry are. Back ends
// that can implement it on the value that is the [Backend], so that it is found by
// assertion. A [Patrol] asks it. Implementations are safe for concurrent use.
type Inspector interface {
	// Inspect asks once, without a loop or a retry, within the deadline of ctx: each
	// server itself where the registry lets one, else one server about all of them.
	//
	// What one server does not answer is that member's Err, and its Health
	// [HealthFailing]. What this process may not ask stays unknown, and no more is
	// wrong with the cluster for that. It is an error of Inspect only if nothing can
	// be said: no server answers at all.
	Inspect(ctx context.Context) (Cluster, error)
}

// Cluster is how the servers of a registry are at one time.
type Cluster struct {
	// Members is every server that is meant to be part of it, whether it answers or
	// not, in any order.
	Members []ClusterMember
	// Leader is the name of the member that leads according to most of those asked;
	// empty if there is none.
	Leader string
	// FaultTolerance is how many members may fail before the registry takes no more
	// writes, and -1 if the registry does not say: then it is worked out from the
	// voters and their health.
	FaultTolerance int
	// Alarms are those that the registry raised for all of it, by their names, such
	// as etcd's "NOSPACE". Those of one member are in [ClusterMember.Alarms].
	Alarms []string
	// Latency is how long the slowest of the calls that were answered took.
	Latency time.Duration
}

// ClusterMember is one server of a registry. Of what the registry does not tell, the
// zero value stands for unknown.
type ClusterMember struct {
	// Name is unique in the cluster and the same from one answer to the next: the
	// node's name, or its id where names may be missing or repeated.
	Name string
	// Address is where it is reached by its clients, or by its peers if that is all
	// that is known.
	Address string
	Version string
	// Leader says that it is the one that leads, see [Cluster.Leader].
	Leader bool
	// Sees is the name of the member that this one takes for the leader. Empty if it
	// was not asked itself. One that was asked and knows of none is
	// [HealthFailing], and its Err says so.
	Sees string
	// Voter says that it counts for a majority. etcd's learners and Consul's read
	// replicas do not.
	Voter bool
	// Health is what is known of it. A member of unknown health is not complained
	// about.
	Health Health
	// Err is why it is failing, if it is.
	Err error
	// Term is the term of the election that it knows of, and Index the last entry of
	// its log: numbers that the members of a healthy cluster agree on, or nearly.
	Term, Index uint64
	// DBSize and DBQuota are how large its database is and may become, in bytes.
	DBSize, DBQuota int64
	// Alarms are those that it raised, by their names.
	Alarms []string
	// Latency is how long it took to answer. 0 if it was not asked itself.
	Latency time.Duration
}

// Lag returns how many log entries a member is behind the one that has most; 0 if its
// index is unknown.
func (c *Cluster) Lag(m *ClusterMember) uint64 {
	if m.Index == 0 {
		return 0
	}
	most := m.Index
	for i := range c.Members {
		most = max(most, c.Members[i].Index)
	}
	return most - m.Index
}

// Tolerance returns how many members may still fail, and how many voters there are, as
// the registry says or else as its voters are: more than half of them have to be
// there, and one of unknown health is.
func (c *Cluster) Tolerance() (left, voters int) {
	up := 0
	for i := range c.Members {
		if m := &c.Members[i]; m.Voter {
			voters++
			if m.Health != HealthFailing {
				up++
			}
		}
	}
	if c.FaultTolerance >= 0 {
		return c.FaultTolerance, voters
	}
	return max(up-voters/2-1, 0), voters
}
