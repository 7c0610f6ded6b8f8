// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// decisions tells the metrics of a service called order what its policies decided.
func decisions(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	set, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	obs, ctx := set.Policies(), t.Context()
	attempt := func(p resilience.Policy, number int, outcome resilience.Outcome, again bool, reason string) {
		obs.Attempted(ctx, resilience.Attempt{Policy: p, Name: "payment", Number: number, Outcome: outcome, Again: again, Reason: reason})
	}
	retry, hedge := resilience.PolicyRetry, resilience.PolicyHedge
	attempt(retry, 1, resilience.OutcomeOK, false, "")
	attempt(retry, 1, resilience.OutcomeTransient, true, "")
	attempt(retry, 2, resilience.OutcomeOK, false, "")
	attempt(retry, 1, resilience.OutcomeTransient, false, "retry budget exhausted")
	attempt(retry, 1, resilience.OutcomeTransient, true, "")
	attempt(retry, 2, resilience.OutcomeRejected, false, "not retryable")
	attempt(hedge, 1, resilience.OutcomeCanceled, false, "another attempt answered first")
	attempt(hedge, 2, resilience.OutcomeOK, false, "")
	obs.Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "payment", Reason: "open"})
	obs.Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyShed, Name: "order", Reason: "limit"})
	obs.StateChanged(ctx, resilience.StateChange{Name: "payment", From: resilience.StateClosed, To: resilience.StateOpen})
	set.CollectPolicies(func() metrics.PolicyStates {
		return metrics.PolicyStates{
			Breakers: []metrics.BreakerState{{Name: "payment", State: resilience.StateHalfOpen}},
			Budgets:  []metrics.BudgetState{{Name: "payment", Remaining: 2.25}},
		}
	})
	calls := set.HTTPClient("POST", "http", "payment", 0)
	for range 6 {
		calls.Begin()
		calls.End(http.StatusCreated, "", time.Second, metrics.Exemplar{})
	}
	for range 7 {
		calls.Attempt(http.StatusCreated, "", time.Second, metrics.Exemplar{})
	}
	for route, method := range map[string]string{"/charges": "POST", "/readyz": "GET"} {
		requests := set.HTTPServer(method, "http")
		requests.Begin()
		requests.End(route, http.StatusOK, "", time.Second, metrics.Exemplar{})
	}
	return reg
}

func TestPolicies(t *testing.T) {
	srv := httptest.NewServer(metrics.Handler(decisions(t)))
	defer srv.Close()
	got, err := report.ReadPolicies(t.Context(), srv.Client(), report.Metrics{Service: "order", URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	want := report.Policies{
		Clients: []report.Client{
			{
				From: "order", To: "payment", Calls: 6, Sent: 7, Retries: 1, Hedges: 1, Saved: 2,
				Refused: map[string]int{"breaker": 1},
				GivenUp: map[string]int{"retry budget exhausted": 1},
				Budget:  2.25, Breaker: "half-open", Trips: 1,
			},
		},
		Servers: []report.Server{{Service: "order", Received: 1, Refused: map[string]int{"shed": 1}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	const table = `  calls            made  sent  retries  hedges  saved  budget  breaker               refused    given up
  order → payment  6     7     1        1       2      2.2     half-open, opened 1×  breaker 1  retry budget exhausted 1

  servers  received  refused
  order    1         shed 1
`
	if diff := cmp.Diff(table, got.Render()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestAmplification(t *testing.T) {
	p := report.Policies{
		Clients: []report.Client{{From: "order", To: "payment", Calls: 10}},
		Servers: []report.Server{{Service: "payment", Received: 11}},
	}
	if got := p.Amplification("order", "payment"); got != 1.1 {
		t.Errorf("amplification %v, want 1.1", got)
	}
	if got := p.Amplification("gateway", "payment"); got != 0 {
		t.Errorf("amplification of no calls %v, want 0", got)
	}
}

func TestMetricsThatCannotBeRead(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := report.ReadPolicies(context.Background(), srv.Client(), report.Metrics{Service: "order", URL: srv.URL})
	if err == nil || !strings.Contains(err.Error(), "metrics of order: 404") {
		t.Errorf("ReadPolicies = %v", err)
	}
}

// TestPoliciesOfSeveralInstances adds what two instances of a service did.
func TestPoliciesOfSeveralInstances(t *testing.T) {
	one := report.Policies{
		Clients: []report.Client{
			{From: "order", To: "payment", Calls: 3, Sent: 4, Retries: 1, Saved: 1, Budget: 2, Breaker: "closed", Refused: map[string]int{"breaker": 1}, GivenUp: map[string]int{}},
			{From: "order", To: "inventory", Calls: 1, Budget: -1, Refused: map[string]int{}, GivenUp: map[string]int{}},
		},
		Servers: []report.Server{{Service: "order", Received: 5, Refused: map[string]int{"shed": 1}}},
	}
	other := report.Policies{
		Clients: []report.Client{
			{From: "order", To: "inventory", Calls: 2, Budget: 1, Refused: map[string]int{}, GivenUp: map[string]int{}},
			{From: "order", To: "payment", Calls: 2, Sent: 1, Hedges: 1, Budget: 3, Breaker: "open", Trips: 1, Refused: map[string]int{"breaker": 2, "bulkhead": 1}, GivenUp: map[string]int{"late": 1}},
		},
		Servers: []report.Server{{Service: "order", Received: 1, Refused: map[string]int{"shed": 2}}, {Service: "gateway", Received: 1, Refused: map[string]int{}}},
	}
	var got report.Policies
	got.Add(one)
	got.Add(other)
	want := report.Policies{
		Clients: []report.Client{
			{
				From: "order", To: "payment", Calls: 5, Sent: 5, Retries: 1, Hedges: 1, Saved: 1, Budget: 5, Breaker: "closed, open", Trips: 1,
				Refused: map[string]int{"breaker": 3, "bulkhead": 1}, GivenUp: map[string]int{"late": 1},
			},
			{From: "order", To: "inventory", Calls: 3, Budget: 1, Refused: map[string]int{}, GivenUp: map[string]int{}},
		},
		Servers: []report.Server{{Service: "order", Received: 6, Refused: map[string]int{"shed": 3}}, {Service: "gateway", Received: 1, Refused: map[string]int{}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
	if one.Clients[0].Refused["breaker"] != 1 || one.Servers[0].Refused["shed"] != 1 {
		t.Error("what was added has changed")
	}
}
