// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/resilience"
)

// PolicyStates is the state of policies at one moment. Those of the same kind and
// name are added up.
type PolicyStates struct {
	Breakers    []BreakerState
	Concurrency []ConcurrencyState
	RateLimits  []RateLimitState
	Budgets     []BudgetState
}

// BreakerState is the state of a circuit breaker.
type BreakerState struct {
	Name  string
	State resilience.State
	// Forced says that an operator decided on the state.
	Forced bool
}

// ConcurrencyState is the state of what bounds the calls in progress: a bulkhead, a
// concurrency limit or a load shedder.
type ConcurrencyState struct {
	Policy resilience.Policy
	Name   string
	// InFlight calls are in progress, of Limit.
	InFlight, Limit int
	// Queued calls wait for one of them to end; negative if none can wait.
	Queued int
}

// RateLimitState is the state of a rate limit.
type RateLimitState struct {
	Name string
	// Tokens is how many calls would be admitted now; negative by those that wait.
	Tokens float64
	// Burst is how many there are after a pause.
	Burst int
}

// BudgetState is the state of a retry budget.
type BudgetState struct {
	Name string
	// Remaining is how many retries there may be at once now.
	Remaining float64
}

// CollectPolicies makes the states that source returns a part of s: those of
// breakers, of what bounds the calls in progress, of rate limits and retry
// budgets. source is called at each scrape, must not block, and may be called
// concurrently. There may be several.
func (s *Set) CollectPolicies(source func() PolicyStates) {
	if s == nil || source == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies.sources = append(s.policies.sources, source)
}

func (p *policies) describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		p.descState, p.descForced, p.descBudget, p.descTokens, p.descBurst,
		p.descInFlight, p.descLimit, p.descQueued,
	} {
		ch <- d
	}
}

// policySeries is one series of a state.
type policySeries struct {
	desc           *prometheus.Desc
	label1, label2 string
}

func (s *Set) collectPolicies(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	sources := slices.Clone(s.policies.sources)
	s.mu.Unlock()
	if len(sources) == 0 {
		return
	}
	sums := policySums{}
	for _, source := range sources {
		s.policies.sum(sums, source())
	}
	for k, v := range sums {
		labels := []string{k.label1, k.label2}
		switch k.desc {
		case s.policies.descForced, s.policies.descBudget, s.policies.descTokens, s.policies.descBurst:
			labels = labels[:1]
		}
		ch <- constMetric(k.desc, prometheus.GaugeValue, v, labels...)
	}
}

// policySums are the values of states. Names past their cap share one.
type policySums map[policySeries]float64

func (p *policies) sum(sums policySums, st PolicyStates) {
	for _, b := range st.Breakers {
		name := p.names.Value(b.Name)
		for _, state := range []resilience.State{resilience.StateClosed, resilience.StateHalfOpen, resilience.StateOpen} {
			sums[policySeries{p.descState, name, state.String()}] += one(b.State == state)
		}
		sums[policySeries{p.descForced, name, ""}] += one(b.Forced)
	}
	for _, c := range st.Concurrency {
		policy, name := policyName(c.Policy), p.names.Value(c.Name)
		sums[policySeries{p.descInFlight, policy, name}] += float64(c.InFlight)
		sums[policySeries{p.descLimit, policy, name}] += float64(c.Limit)
		if c.Queued >= 0 {
			sums[policySeries{p.descQueued, policy, name}] += float64(c.Queued)
		}
	}
	for _, l := range st.RateLimits {
		name := p.names.Value(l.Name)
		sums[policySeries{p.descTokens, name, ""}] += l.Tokens
		sums[policySeries{p.descBurst, name, ""}] += float64(l.Burst)
	}
	for _, b := range st.Budgets {
		sums[policySeries{p.descBudget, p.names.Value(b.Name), ""}] += b.Remaining
	}
}

// one is 1 for true.
func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
