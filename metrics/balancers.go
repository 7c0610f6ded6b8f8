// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"iter"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// balancers is what balancers decide, and how their endpoints are.
type balancers struct {
	services *Guard

	picks, exclusions, spared, returns *prometheus.CounterVec

	endpoints, inFlight, latency, local, panicking *state

	sources sources[func() iter.Seq2[*balancer.Balancer, string]]

	mu sync.Mutex // of a scrape
	// counted is what is in the counters of the balancers that there are: these come
	// and go, and the counters stay.
	counted map[*balancer.Balancer]balancer.Stats
}

func (s *Set) newBalancers() *balancers {
	return &balancers{
		services: s.discovery.services,

		picks:      s.counters(&balancerPicksTotal),
		exclusions: s.counters(&balancerExclusionsTotal),
		spared:     s.counters(&balancerSparedTotal),
		returns:    s.counters(&balancerReturnsTotal),

		endpoints: newState(&balancerEndpoints),
		inFlight:  newState(&balancerInFlight),
		latency:   newState(&balancerLatency),
		local:     newState(&balancerLocalShare),
		panicking: newState(&balancerPanicking),

		counted: map[*balancer.Balancer]balancer.Stats{},
	}
}

// Balancer returns the observer that counts the endpoints of a service that come back
// after they were out of picks.
func (s *Set) Balancer(service string) balancer.Observer {
	if s == nil {
		return balancer.Observer{}
	}
	b, service := s.balancers, s.balancers.services.Value(service)
	return balancer.Observer{
		Returned: func(e balancer.Return) { inc(b.returns, 1, service, e.Reason.String()) },
	}
}

// CollectBalancers makes a part of s what balancers decide and how their endpoints are.
// source returns those there are, each with the service that it is of; it is called at
// each scrape, must not block, and may be called concurrently. There may be several
// sources. Balancers of one service are added up; what one did after the last scrape
// before it went away is not counted.
func (s *Set) CollectBalancers(source func() iter.Seq2[*balancer.Balancer, string]) {
	if s != nil && source != nil {
		s.balancers.sources.add(source)
	}
}

func (b *balancers) states() []*state {
	return []*state{b.endpoints, b.inFlight, b.latency, b.local, b.panicking}
}

func (b *balancers) collect(v values) {
	b.mu.Lock()
	defer b.mu.Unlock()
	counted := make(map[*balancer.Balancer]balancer.Stats, len(b.counted))
	latency, local := map[string]mean{}, map[string]mean{}
	for _, source := range b.sources.list() {
		for one, service := range source() {
			if _, again := counted[one]; one == nil || again {
				continue
			}
			service, st := b.services.Value(service), one.Stats()
			b.count(service, &st, b.counted[one])
			b.state(v, service, &st)
			if st.Latency > 0 {
				latency[service] = latency[service].and(st.Latency.Seconds())
			}
			if st.Endpoints > 0 {
				local[service] = local[service].and(st.Near)
			}
			counted[one] = st
		}
	}
	b.counted = counted
	for service, m := range latency {
		v.add(b.latency, m.value(), service)
	}
	for service, m := range local {
		v.add(b.local, m.value(), service)
	}
}

// mean is that of some numbers.
type mean struct {
	sum float64
	n   int
}

func (m mean) and(x float64) mean { return mean{m.sum + x, m.n + 1} }
func (m mean) value() float64     { return m.sum / float64(m.n) }

// count adds what happened since the last time.
func (b *balancers) count(service string, now *balancer.Stats, before balancer.Stats) {
	then := maps.Collect(before.Picks.All())
	for decision, n := range now.Picks.All() {
		inc(b.picks, since(n, then[decision]), service, decision)
	}
	for _, e := range []struct {
		reason    balancer.Reason
		now, then uint64
	}{
		{balancer.ReasonConsecutive, now.EjectedConsecutive, before.EjectedConsecutive},
		{balancer.ReasonFailureShare, now.EjectedFailureShare, before.EjectedFailureShare},
		{balancer.ReasonDeviation, now.EjectedDeviation, before.EjectedDeviation},
		{balancer.ReasonOverload, now.WentAside, before.WentAside},
		{balancer.ReasonUnreachable, now.WentUnreachable, before.WentUnreachable},
	} {
		inc(b.exclusions, since(e.now, e.then), service, e.reason.String())
	}
	inc(b.spared, since(now.Spared, before.Spared), service)
}

func since(now, then uint64) int { return int(now - min(now, then)) }

func (b *balancers) state(v values, service string, st *balancer.Stats) {
	for _, e := range []struct {
		state string
		n     int
	}{
		{"all", st.Endpoints}, {"usable", st.Usable}, {"slow_start", st.SlowStart}, {"suspended", st.Suspended},
		{"unreachable", st.Unreachable}, {"ejected", st.Ejected}, {"aside", st.Aside},
	} {
		v.add(b.endpoints, float64(e.n), service, e.state)
	}
	v.add(b.inFlight, float64(st.InFlight), service)
	v.add(b.panicking, one(st.Panic), service)
}
