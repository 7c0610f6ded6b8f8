// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/resilience"
)

// policies is what resilience policies tell of: events as they come, and states
// as they are when somebody asks.
type policies struct {
	names, reasons *Guard

	rejections, transitions, attempts, notRetried, fallbacks *policyCounter

	degraded *prometheus.GaugeVec

	descState, descForced, descBudget, descTokens, descBurst *prometheus.Desc
	descInFlight, descLimit, descQueued                      *prometheus.Desc

	sources []func() PolicyStates // under the Set's lock
}

func (s *Set) newPolicies() *policies {
	p := &policies{
		names:    newGuard(LabelPolicyName, s.cfg.caps[LabelPolicyName]),
		reasons:  newGuard(LabelReason, s.cfg.caps[LabelReason]),
		degraded: s.gauges(&policyDegraded),

		descState:    newDesc(&breakerState),
		descForced:   newDesc(&breakerForced),
		descBudget:   newDesc(&retryBudgetRemaining),
		descTokens:   newDesc(&rateLimitTokens),
		descBurst:    newDesc(&rateLimitBurst),
		descInFlight: newDesc(&policyInFlight),
		descLimit:    newDesc(&policyInFlightLimit),
		descQueued:   newDesc(&policyQueued),
	}
	p.rejections = s.policyCounter(p, &policyRejectionsTotal)
	p.transitions = s.policyCounter(p, &breakerTransitionsTotal)
	p.attempts = s.policyCounter(p, &attemptsTotal)
	p.notRetried = s.policyCounter(p, &callsNotRetriedTotal)
	p.fallbacks = s.policyCounter(p, &fallbacksTotal)
	s.guards = append(s.guards, p.names, p.reasons)
	return p
}

// Policies returns the observer that counts what resilience policies decide: calls
// refused, attempts, calls not tried again and why, changes of breakers, replies
// that fallbacks stood in for, and policies that go on without something they
// need. What is a state rather than an event is told by [Set.CollectPolicies].
//
// For what was seen before, counting takes no lock and allocates nothing but an
// exemplar that is kept. Attempts have no exemplars: see
// rpc_client_attempt_duration_seconds and its like.
func (s *Set) Policies() resilience.Observer {
	if s == nil {
		return resilience.Observer{}
	}
	p := s.policies
	return resilience.Observer{
		Rejected: func(ctx context.Context, e *resilience.RejectedError) {
			p.rejections.inc(ctx, policyLabels{policy: e.Policy, name: e.Name, reason: e.Reason})
		},
		StateChanged: func(ctx context.Context, e resilience.StateChange) {
			p.transitions.inc(ctx, policyLabels{name: e.Name, state: e.To})
		},
		Attempted: p.attempted,
		FellBack: func(ctx context.Context, e resilience.Fallback) {
			p.fallbacks.inc(ctx, policyLabels{name: e.Name})
		},
		Degraded: p.isDegraded,
	}
}

func (p *policies) attempted(ctx context.Context, e resilience.Attempt) {
	attempt := policyLabels{policy: e.Policy, name: e.Name, outcome: e.Outcome, further: e.Number > 1}
	p.attempts.child(attempt).Inc(Exemplar{}) // as often as there are calls: it does not even read the clock
	switch {
	case e.Again, e.Reason == "", e.Outcome == resilience.OutcomeOK:
	case e.Outcome == resilience.OutcomeCanceled: // by the caller, or because another attempt was faster
	default:
		p.notRetried.inc(ctx, policyLabels{policy: e.Policy, name: e.Name, reason: e.Reason})
	}
}

func (p *policies) isDegraded(_ context.Context, e resilience.Degradation) {
	g, err := p.degraded.GetMetricWithLabelValues(policyName(e.Policy), p.names.Value(e.Name))
	if err != nil {
		return
	}
	if e.Since.IsZero() {
		g.Set(0)
	} else {
		g.Set(1)
	}
}

// policyLabels are the label values of an event as it comes. Which of them a
// metric has is up to its labels.
type policyLabels struct {
	policy       resilience.Policy
	name, reason string
	outcome      resilience.Outcome
	state        resilience.State
	further      bool
}

// policyCounter is a counter of events.
type policyCounter struct {
	vec            *prometheus.CounterVec
	labels         []string
	names, reasons *Guard
	set            *Set
	children       cache[policyLabels, *Counter]
}

func (s *Set) policyCounter(p *policies, m *Metric) *policyCounter {
	c := &policyCounter{vec: s.counters(m), labels: m.Labels, names: p.names, reasons: p.reasons, set: s}
	c.children.limit = 1
	for _, label := range m.Labels {
		c.children.limit *= c.valuesOf(label)
	}
	return c
}

// valuesOf returns how many values a label can have.
func (c *policyCounter) valuesOf(label string) int {
	switch label {
	case "policy":
		return len(knownPolicies) + 1
	case "name":
		return c.names.admitted.limit + 2 // Other, and empty
	case "reason":
		return c.reasons.admitted.limit + 2
	default:
		return 16 // outcomes, states, first and further
	}
}

// inc counts an event, with the call in ctx as its exemplar.
func (c *policyCounter) inc(ctx context.Context, l policyLabels) { c.child(l).AddContext(ctx, 1) }

func (c *policyCounter) child(l policyLabels) *Counter {
	if child, ok := c.children.load(l); ok {
		return child
	}
	return c.resolve(l)
}

// resolve returns the child for label values that nobody has admitted yet.
func (c *policyCounter) resolve(l policyLabels) *Counter {
	l.policy, l.name, l.reason = resilience.Policy(policyName(l.policy)), c.names.Value(l.name), c.reasons.Value(l.reason)
	if child, ok := c.children.load(l); ok {
		return child
	}
	child, _ := c.children.loadOrStore(l, func() *Counter {
		made, err := c.vec.GetMetricWithLabelValues(l.values(c.labels)...)
		if err != nil {
			return nil
		}
		return newCounter(made, c.set.cfg.exemplarInterval)
	})
	return child
}

// values returns those of labels.
func (l *policyLabels) values(labels []string) []string {
	values := make([]string, 0, len(labels))
	for _, label := range labels {
		var v string
		switch label {
		case "policy":
			v = string(l.policy)
		case "name":
			v = l.name
		case "reason":
			v = l.reason
		case "outcome":
			v = l.outcome.String()
		case "to":
			v = l.state.String()
		case "attempt":
			v = "first"
			if l.further {
				v = "further"
			}
		}
		values = append(values, v)
	}
	return values
}

// knownPolicies are the kinds of policy that may be a label value.
var knownPolicies = []resilience.Policy{
	resilience.PolicyBreaker, resilience.PolicyRateLimit, resilience.PolicyConcurrency, resilience.PolicyBulkhead,
	resilience.PolicyShed, resilience.PolicyDeadline, resilience.PolicyRetry, resilience.PolicyHedge,
	resilience.PolicyTimeout, resilience.PolicyFallback, resilience.PolicyDiscovery,
}

// policyName returns the label value of a kind of policy.
func policyName(p resilience.Policy) string {
	if slices.Contains(knownPolicies, p) {
		return string(p)
	}
	return Other
}
