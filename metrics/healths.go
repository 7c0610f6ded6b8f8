// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/health"
)

// checks is what a process finds of its health.
type checks struct {
	names *Guard

	runs, transitions *prometheus.CounterVec

	status, state, passing, latency *state

	sets sources[*health.Set]
}

func (s *Set) newChecks() *checks {
	c := &checks{
		names:       newGuard(LabelCheck, s.cfg.caps[LabelCheck]),
		runs:        s.counters(&healthCheckRunsTotal),
		transitions: s.counters(&healthCheckTransitionsTotal),
		status:      newState(&healthStatus),
		state:       newState(&healthCheckState),
		passing:     newState(&healthCheckPassing),
		latency:     newState(&healthCheckLatency),
	}
	s.guards = append(s.guards, c.names)
	return c
}

// Health returns the observer that counts the runs of health checks and how often they
// begin to pass and to fail. How they are is told by [Set.CollectHealth].
func (s *Set) Health() health.Observer {
	if s == nil {
		return health.Observer{}
	}
	c := s.checks
	return health.Observer{
		Ran: func(r health.Result) {
			if !r.Watchdog { // they are looked at, and do not run
				inc(c.runs, 1, c.names.Value(r.Name), r.State.String())
			}
		},
		Changed: func(e health.Change) {
			if e.Passing != e.WasPassing {
				inc(c.transitions, 1, c.names.Value(e.Name), passing(e.Passing))
			}
		},
	}
}

func passing(is bool) string {
	if is {
		return "passing"
	}
	return "failing"
}

// CollectHealth makes a part of s how the checks of a process are, and whether it can
// take requests, as the set says at each scrape. There should be one.
func (s *Set) CollectHealth(set *health.Set) {
	if s != nil && set != nil {
		s.checks.sets.add(set)
	}
}

func (c *checks) states() []*state { return []*state{c.status, c.state, c.passing, c.latency} }

var (
	healthStatuses = upTo(health.StatusDraining)
	checkStates    = upTo(health.StateStale)
)

func (c *checks) collect(v values) {
	for _, set := range c.sets.list() {
		is := set.Status()
		for _, status := range healthStatuses {
			v.set(c.status, one(status == is), more, status.String())
		}
		for _, r := range set.Results() {
			name := c.names.Value(r.Name)
			of(v, c.state, r.State, health.State.String, checkStates, name)
			v.set(c.passing, one(r.Passing), less, name, r.Criticality.String())
			if !r.Watchdog && !r.At.IsZero() {
				v.set(c.latency, r.Latency.Seconds(), more, name)
			}
		}
	}
}
