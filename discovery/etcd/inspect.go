// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fairlead-go/fairlead/discovery"
)

// answer is what one endpoint said.
type answer struct {
	endpoint string
	status   *pb.StatusResponse // nil with an error
	err      error
	took     time.Duration // with the time to connect
}

// Inspect implements [discovery.Inspector]: it asks each endpoint for its status, all at
// the same time, and one of them for the members. A member that is reached at none of the
// endpoints was not asked, and its health is unknown: set all of them. An endpoint that
// does not answer and is no member's is listed by its address, and counts for nothing.
func (b *Backend) Inspect(ctx context.Context) (discovery.Cluster, error) {
	answers := make([]answer, len(b.client.Endpoints()))
	var members *pb.MemberListResponse
	var listErr error
	var wg sync.WaitGroup
	for i, endpoint := range b.client.Endpoints() {
		wg.Go(func() { answers[i] = b.ask(ctx, endpoint) })
	}
	// Not linearizable: it is most wanted when there is no leader.
	wg.Go(func() { members, listErr = b.cluster.MemberList(ctx, &pb.MemberListRequest{}) })
	wg.Wait()
	if listErr != nil && !slices.ContainsFunc(answers, func(a answer) bool { return a.status != nil }) {
		errs := []error{b.fault(ctx, "list members", listErr)}
		for _, a := range answers {
			errs = append(errs, a.err)
		}
		return discovery.Cluster{}, errors.Join(errs...)
	}
	return clusterOf(members.GetMembers(), answers), nil
}

// ask asks one endpoint, on a connection of its own.
func (b *Backend) ask(ctx context.Context, endpoint string) answer {
	start := time.Now()
	a := answer{endpoint: endpoint}
	conn, err := b.client.Dial(endpoint)
	if err == nil {
		defer func() { _ = conn.Close() }()
		a.status, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	}
	a.took = time.Since(start)
	if err != nil {
		a.status, a.err = nil, fmt.Errorf("etcd: status of %s: %w", endpoint, rpctypes.Error(err))
	}
	return a
}

// clusterOf puts the list of members, which may be missing, and answers together.
func clusterOf(list []*pb.Member, answers []answer) discovery.Cluster {
	c := discovery.Cluster{FaultTolerance: -1}
	names := memberNames(list)
	name := func(id uint64) string {
		if id == 0 {
			return ""
		}
		return cmp.Or(names[id], hexID(id))
	}
	asked := map[uint64]bool{}
	votes := map[string]int{}
	for _, a := range answers {
		m := memberOf(a, list, name)
		if id := a.member(list); id != 0 {
			if asked[id] && (a.status == nil || slices.ContainsFunc(c.Members, func(o discovery.ClusterMember) bool { return o.Name == m.Name && o.Err == nil })) {
				continue // two endpoints of one member
			}
			asked[id] = true
			c.Members = slices.DeleteFunc(c.Members, func(o discovery.ClusterMember) bool { return o.Name == m.Name })
		}
		c.Members = append(c.Members, m)
		c.Latency = max(c.Latency, m.Latency)
		if m.Sees != "" {
			votes[m.Sees]++
		}
		for _, text := range a.status.GetErrors() {
			if alarm := alarmOf(text); alarm != "" && !slices.Contains(c.Alarms, alarm) {
				c.Alarms = append(c.Alarms, alarm)
			}
		}
	}
	for _, m := range list {
		if !asked[m.ID] {
			c.Members = append(c.Members, discovery.ClusterMember{Name: name(m.ID), Address: strings.Join(m.ClientURLs, ","), Voter: !m.IsLearner})
		}
	}
	for leader, n := range votes {
		if n > votes[c.Leader] || n == votes[c.Leader] && leader < c.Leader {
			c.Leader = leader
		}
	}
	for i := range c.Members {
		c.Members[i].Leader = c.Leader != "" && c.Members[i].Name == c.Leader
	}
	slices.SortFunc(c.Members, func(a, b discovery.ClusterMember) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// member returns the id of the member that an endpoint is, or 0 if nobody knows.
func (a answer) member(list []*pb.Member) uint64 {
	if a.status != nil {
		return a.status.Header.GetMemberId()
	}
	for _, m := range list {
		if slices.Contains(m.ClientURLs, a.endpoint) {
			return m.ID
		}
	}
	return 0
}

func memberOf(a answer, list []*pb.Member, name func(uint64) string) discovery.ClusterMember {
	id := a.member(list)
	m := discovery.ClusterMember{Name: cmp.Or(name(id), a.endpoint), Address: a.endpoint, Err: a.err, Health: discovery.HealthFailing}
	st := a.status
	if st == nil {
		i := slices.IndexFunc(list, func(m *pb.Member) bool { return m.ID == id })
		m.Voter = i >= 0 && !list[i].IsLearner
		return m
	}
	m.Version, m.Sees, m.Voter, m.Latency = st.Version, name(st.Leader), !st.IsLearner, a.took
	m.Term, m.Index, m.DBSize, m.DBQuota = st.RaftTerm, st.RaftIndex, st.DbSize, st.DbSizeQuota
	if st.Leader == 0 {
		m.Err = fmt.Errorf("etcd: %s: %w", a.endpoint, rpctypes.ErrNoLeader)
		return m
	}
	m.Health = discovery.HealthPassing
	return m
}

// memberNames returns the names of members that have one to themselves.
func memberNames(list []*pb.Member) map[uint64]string {
	count := map[string]int{}
	for _, m := range list {
		count[m.Name]++
	}
	names := map[uint64]string{}
	for _, m := range list {
		if m.Name != "" && count[m.Name] == 1 {
			names[m.ID] = m.Name
		}
	}
	return names
}

// hexID is how etcd writes the id of a member.
func hexID(id uint64) string { return strconv.FormatUint(id, 16) }

// alarmOf returns the name of the alarm that an error of a status is about, or "". All
// members have all alarms.
func alarmOf(text string) string {
	for n, name := range pb.AlarmType_name {
		if n != int32(pb.AlarmType_NONE) && strings.Contains(text, name) {
			return name
		}
	}
	return ""
}
