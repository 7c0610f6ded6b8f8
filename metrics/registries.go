// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/discovery"
)

// registries is what patrols know of the servers of registries, and sweeps of what is in
// them.
type registries struct {
	names *Guard

	up, leader, leaderChanges, members, tolerance, term, lag *state
	latency, dbSize, dbQuota, findings, rounds               *state

	entries, leftovers *prometheus.GaugeVec
	removed, sweeps    *prometheus.CounterVec

	patrols sources[patrolSource]
}

type patrolSource struct {
	registry string
	status   func() discovery.PatrolStatus
}

func (s *Set) newRegistries() *registries {
	r := &registries{
		names: newGuard(LabelRegistry, s.cfg.caps[LabelRegistry]),

		up:            newState(&registryUp),
		leader:        newState(&registryHasLeader),
		leaderChanges: newState(&registryLeaderChangesTotal),
		members:       newState(&registryMembers),
		tolerance:     newState(&registryFaultTolerance),
		term:          newState(&registryTerm),
		lag:           newState(&registryLag),
		latency:       newState(&registryLatency),
		dbSize:        newState(&registryDBSize),
		dbQuota:       newState(&registryDBQuota),
		findings:      newState(&registryFindings),
		rounds:        newState(&registryRoundsTotal),

		entries:   s.gauges(&registryEntries),
		leftovers: s.gauges(&registryLeftovers),
		removed:   s.counters(&registryRemovedTotal),
		sweeps:    s.counters(&registrySweepsTotal),
	}
	s.guards = append(s.guards, r.names)
	return r
}

// CollectPatrol makes a part of s how the servers of a registry are, as
// [discovery.Patrol.Status] says at each scrape. registry is its name in labels, such as
// "consul". There may be several, each of another name.
func (s *Set) CollectPatrol(registry string, status func() discovery.PatrolStatus) {
	if s != nil && status != nil {
		s.registries.patrols.add(patrolSource{registry, status})
	}
}

func (r *registries) states() []*state {
	return []*state{
		r.up, r.leader, r.leaderChanges, r.members, r.tolerance, r.term, r.lag,
		r.latency, r.dbSize, r.dbQuota, r.findings, r.rounds,
	}
}

func (r *registries) collect(v values) {
	for _, p := range r.patrols.list() {
		if st := p.status(); st.Rounds > 0 {
			r.patrol(v, r.names.Value(p.registry), st)
		}
	}
}

func (r *registries) patrol(v values, registry string, st discovery.PatrolStatus) {
	up := st.Err == nil
	v.set(r.up, one(up), less, registry)
	v.set(r.leader, one(up && st.Cluster.Leader != ""), less, registry)
	v.add(r.leaderChanges, float64(st.LeaderChanges), registry)
	v.add(r.rounds, float64(st.Rounds-st.FailedRounds), registry, "ok")
	v.add(r.rounds, float64(st.FailedRounds), registry, "error")
	for _, k := range discovery.FindingKinds() {
		v.add(r.findings, 0, registry, k.String())
	}
	for _, f := range st.Findings {
		v.add(r.findings, 1, registry, f.Kind.String())
	}
	if !up {
		return // what it last said is not how it is
	}
	c := &st.Cluster
	if left, voters := c.Tolerance(); voters > 0 {
		v.set(r.tolerance, float64(left), less, registry)
	}
	for _, h := range upTo(discovery.HealthFailing) {
		v.add(r.members, 0, registry, h.String())
	}
	v.set(r.latency, c.Latency.Seconds(), more, registry)
	for i := range c.Members {
		r.member(v, registry, c, &c.Members[i])
	}
}

func (r *registries) member(v values, registry string, c *discovery.Cluster, m *discovery.ClusterMember) {
	v.add(r.members, 1, registry, m.Health.String())
	v.set(r.latency, m.Latency.Seconds(), more, registry)
	if m.Term > 0 {
		v.set(r.term, float64(m.Term), more, registry)
	}
	if m.Index > 0 && m.Health != discovery.HealthFailing {
		v.set(r.lag, float64(c.Lag(m)), more, registry)
	}
	if m.DBSize > 0 {
		v.set(r.dbSize, float64(m.DBSize), more, registry)
	}
	if m.DBQuota > 0 {
		v.set(r.dbQuota, float64(m.DBQuota), less, registry)
	}
}

// swept counts a pass of a sweep.
func (r *registries) swept(report discovery.SweepReport) {
	if report.Err != nil {
		inc(r.sweeps, 1, "error")
		return
	}
	inc(r.sweeps, 1, "ok")
	if g, err := r.entries.GetMetricWithLabelValues(); err == nil {
		g.Set(float64(report.Entries))
	}
	for _, kind := range discovery.LeftoverKinds() {
		found, removed := report.Count(kind)
		if g, err := r.leftovers.GetMetricWithLabelValues(kind.String()); err == nil {
			g.Set(float64(found - removed))
		}
		inc(r.removed, removed, kind.String())
	}
}
