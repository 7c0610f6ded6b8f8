// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// inTrace returns the context of a sampled call, whose exemplar is trace.
func inTrace() context.Context {
	id, _ := oteltrace.TraceIDFromHex(trace.TraceID)
	span, _ := oteltrace.SpanIDFromHex(trace.SpanID)
	return oteltrace.ContextWithSpanContext(context.Background(), oteltrace.NewSpanContext(
		oteltrace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: oteltrace.FlagsSampled}))
}

var refusal = &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "stock", Reason: "open"}

// exercisePolicies makes every metric of policies appear.
func exercisePolicies(set *metrics.Set) {
	o, ctx := set.Policies(), inTrace()
	if set == nil { // an observer that wants to know of nothing
		return
	}
	retry := func(n int, outcome resilience.Outcome, again bool, reason string) {
		o.Attempted(ctx, resilience.Attempt{
			Policy: resilience.PolicyRetry, Name: "stock", Number: n, Max: 3,
			Outcome: outcome, Again: again, Reason: reason, Budget: 6,
		})
	}
	retry(1, resilience.OutcomeOK, false, "")
	retry(1, resilience.OutcomeTransient, true, "")
	retry(2, resilience.OutcomeOK, false, "")
	retry(1, resilience.OutcomeTransient, true, "")
	retry(2, resilience.OutcomeTransient, true, "")
	retry(3, resilience.OutcomeTransient, false, "attempts exhausted")
	o.Attempted(ctx, resilience.Attempt{Policy: resilience.PolicyHedge, Name: "price", Number: 2, Max: 2, Budget: -1})
	o.Attempted(ctx, resilience.Attempt{
		Policy: resilience.PolicyHedge, Name: "price", Number: 1, Max: 2,
		Outcome: resilience.OutcomeCanceled, Reason: "another attempt answered first", Budget: -1,
	})
	o.Rejected(ctx, refusal)
	o.Rejected(ctx, refusal)
	o.Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyBulkhead, Name: "stock", Reason: "full"})
	o.StateChanged(ctx, resilience.StateChange{Name: "stock", From: resilience.StateClosed, To: resilience.StateOpen})
	o.FellBack(ctx, resilience.Fallback{Name: "cached stock"})
	o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyRateLimit, Name: "api", Since: time.Unix(1, 0), Err: errors.New("away")})
	o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyShed, Name: "order", Since: time.Unix(1, 0)})
	o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyShed, Name: "order"})

	set.CollectPolicies(func() metrics.PolicyStates {
		return metrics.PolicyStates{
			Breakers: []metrics.BreakerState{
				{Name: "stock", State: resilience.StateOpen},
				{Name: "price", State: resilience.StateClosed, Forced: true},
			},
			Concurrency: []metrics.ConcurrencyState{
				{Policy: resilience.PolicyBulkhead, Name: "stock", InFlight: 3, Limit: 10, Queued: 2},
				{Policy: resilience.PolicyShed, Name: "order", InFlight: 17, Limit: 40, Queued: -1},
			},
			RateLimits: []metrics.RateLimitState{{Name: "api", Tokens: -1.5, Burst: 20}},
			Budgets:    []metrics.BudgetState{{Name: "stock", Remaining: 6}},
		}
	})
}

// policyLines returns what a scrape says of policies, without exemplars.
func policyLines(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for _, line := range lines(text, "fairlead_policy_", "fairlead_breaker_", "fairlead_attempts_", "fairlead_calls_",
		"fairlead_retry_", "fairlead_rate_limit_", "fairlead_fallbacks_") {
		line, _, _ = strings.Cut(line, " # ")
		out = append(out, line)
	}
	return out
}

// TestPolicies: what policies decide is counted, and the state they are in shown.
func TestPolicies(t *testing.T) {
	set, reg := newSet(t)
	exercisePolicies(set)
	want := []string{
		`fairlead_attempts_total{attempt="first",name="price",outcome="canceled",policy="hedge"} 1`,
		`fairlead_attempts_total{attempt="first",name="stock",outcome="ok",policy="retry"} 1`,
		`fairlead_attempts_total{attempt="first",name="stock",outcome="transient",policy="retry"} 2`,
		`fairlead_attempts_total{attempt="further",name="price",outcome="ok",policy="hedge"} 1`,
		`fairlead_attempts_total{attempt="further",name="stock",outcome="ok",policy="retry"} 1`,
		`fairlead_attempts_total{attempt="further",name="stock",outcome="transient",policy="retry"} 2`,
		`fairlead_breaker_forced{name="price"} 1`,
		`fairlead_breaker_forced{name="stock"} 0`,
		`fairlead_breaker_state{name="price",state="closed"} 1`,
		`fairlead_breaker_state{name="price",state="half-open"} 0`,
		`fairlead_breaker_state{name="price",state="open"} 0`,
		`fairlead_breaker_state{name="stock",state="closed"} 0`,
		`fairlead_breaker_state{name="stock",state="half-open"} 0`,
		`fairlead_breaker_state{name="stock",state="open"} 1`,
		`fairlead_breaker_transitions_total{name="stock",to="open"} 1`,
		`fairlead_calls_not_retried_total{name="stock",policy="retry",reason="attempts exhausted"} 1`,
		`fairlead_fallbacks_total{name="cached stock"} 1`,
		`fairlead_policy_degraded{name="api",policy="rate_limit"} 1`,
		`fairlead_policy_degraded{name="order",policy="shed"} 0`,
		`fairlead_policy_in_flight{name="order",policy="shed"} 17`,
		`fairlead_policy_in_flight{name="stock",policy="bulkhead"} 3`,
		`fairlead_policy_in_flight_limit{name="order",policy="shed"} 40`,
		`fairlead_policy_in_flight_limit{name="stock",policy="bulkhead"} 10`,
		`fairlead_policy_queued{name="stock",policy="bulkhead"} 2`,
		`fairlead_policy_rejections_total{name="stock",policy="breaker",reason="open"} 2`,
		`fairlead_policy_rejections_total{name="stock",policy="bulkhead",reason="full"} 1`,
		`fairlead_rate_limit_burst{name="api"} 20`,
		`fairlead_rate_limit_tokens{name="api"} -1.5`,
		`fairlead_retry_budget_remaining{name="stock"} 6`,
	}
	if diff := cmp.Diff(want, policyLines(t, scrape(t, reg, "text/plain"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPolicyExemplars: what went wrong leads to the trace of a call that it went
// wrong for.
func TestPolicyExemplars(t *testing.T) {
	set, reg := newSet(t)
	exercisePolicies(set)
	text := scrape(t, reg, openMetrics)
	for _, name := range []string{
		"fairlead_policy_rejections_total", "fairlead_breaker_transitions_total",
		"fairlead_calls_not_retried_total", "fairlead_fallbacks_total",
	} {
		for _, line := range lines(text, name+"{") {
			if !strings.Contains(line, trace.TraceID) {
				t.Errorf("no exemplar: %s", line)
			}
		}
	}
}

// TestPolicyCaps: names and reasons past their cap share one series, in counters
// and states alike, and nothing is lost.
func TestPolicyCaps(t *testing.T) {
	set, reg := newSet(t, metrics.WithCap(metrics.LabelPolicyName, 2), metrics.WithCap(metrics.LabelReason, 1))
	o := set.Policies()
	states := metrics.PolicyStates{}
	for i := range 500 {
		name, reason := fmt.Sprint("service ", i), fmt.Sprint("reason ", i)
		policy := resilience.PolicyBreaker
		if i > 0 {
			policy = resilience.Policy(fmt.Sprint("policy ", i))
		}
		o.Rejected(t.Context(), &resilience.RejectedError{Policy: policy, Name: name, Reason: reason})
		states.Budgets = append(states.Budgets, metrics.BudgetState{Name: name, Remaining: 1})
		states.Breakers = append(states.Breakers, metrics.BreakerState{Name: name, State: resilience.StateOpen})
	}
	set.CollectPolicies(func() metrics.PolicyStates { return states })
	want := []string{
		`fairlead_breaker_forced{name="_OTHER"} 0`,
		`fairlead_breaker_forced{name="service 0"} 0`,
		`fairlead_breaker_forced{name="service 1"} 0`,
		`fairlead_breaker_state{name="_OTHER",state="closed"} 0`,
		`fairlead_breaker_state{name="_OTHER",state="half-open"} 0`,
		`fairlead_breaker_state{name="_OTHER",state="open"} 498`,
		`fairlead_breaker_state{name="service 0",state="closed"} 0`,
		`fairlead_breaker_state{name="service 0",state="half-open"} 0`,
		`fairlead_breaker_state{name="service 0",state="open"} 1`,
		`fairlead_breaker_state{name="service 1",state="closed"} 0`,
		`fairlead_breaker_state{name="service 1",state="half-open"} 0`,
		`fairlead_breaker_state{name="service 1",state="open"} 1`,
		`fairlead_policy_rejections_total{name="_OTHER",policy="_OTHER",reason="_OTHER"} 498`,
		`fairlead_policy_rejections_total{name="service 0",policy="breaker",reason="reason 0"} 1`,
		`fairlead_policy_rejections_total{name="service 1",policy="_OTHER",reason="_OTHER"} 1`,
		`fairlead_retry_budget_remaining{name="_OTHER"} 498`,
		`fairlead_retry_budget_remaining{name="service 0"} 1`,
		`fairlead_retry_budget_remaining{name="service 1"} 1`,
	}
	if diff := cmp.Diff(want, policyLines(t, scrape(t, reg, "text/plain"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPolicySources: a process may have several sets of policies, for the same
// services too.
func TestPolicySources(t *testing.T) {
	set, reg := newSet(t)
	for _, queued := range []int{-1, 2} {
		set.CollectPolicies(func() metrics.PolicyStates {
			return metrics.PolicyStates{
				Concurrency: []metrics.ConcurrencyState{{Policy: resilience.PolicyBulkhead, Name: "stock", InFlight: 3, Limit: 10, Queued: queued}},
				RateLimits:  []metrics.RateLimitState{{Name: "stock", Tokens: 2, Burst: 5}},
			}
		})
	}
	set.CollectPolicies(nil)
	want := []string{
		`fairlead_policy_in_flight{name="stock",policy="bulkhead"} 6`,
		`fairlead_policy_in_flight_limit{name="stock",policy="bulkhead"} 20`,
		`fairlead_policy_queued{name="stock",policy="bulkhead"} 2`,
		`fairlead_rate_limit_burst{name="stock"} 10`,
		`fairlead_rate_limit_tokens{name="stock"} 4`,
	}
	if diff := cmp.Diff(want, policyLines(t, scrape(t, reg, "text/plain"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPoliciesConcurrently: calls are counted while others scrape.
func TestPoliciesConcurrently(t *testing.T) {
	set, reg := newSet(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			o := set.Policies()
			for n := range 100 {
				o.Rejected(inTrace(), &resilience.RejectedError{Policy: resilience.PolicyShed, Name: fmt.Sprint(n % 10), Reason: "latency"})
				o.Attempted(inTrace(), resilience.Attempt{Policy: resilience.PolicyRetry, Name: fmt.Sprint(i), Number: n})
			}
			set.CollectPolicies(func() metrics.PolicyStates {
				return metrics.PolicyStates{Budgets: []metrics.BudgetState{{Name: "stock", Remaining: 1}}}
			})
		})
		wg.Go(func() {
			if _, err := reg.Gather(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := policyLines(t, scrape(t, reg, "text/plain"))
	for n := range 10 {
		want := fmt.Sprintf(`fairlead_policy_rejections_total{name="%d",policy="shed",reason="latency"} 80`, n)
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("no line %s", want)
		}
	}
}

// TestNoSetNoPolicies: a nil Set observes nothing.
func TestNoSetNoPolicies(t *testing.T) {
	var set *metrics.Set
	o := set.Policies()
	if o.Rejected != nil || o.Attempted != nil {
		t.Error("a nil Set has an observer that does something")
	}
	set.CollectPolicies(func() metrics.PolicyStates { return metrics.PolicyStates{} })
}
