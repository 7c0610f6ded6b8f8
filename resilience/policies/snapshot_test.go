// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t,
			policies.WithMaxServices(10),
			policies.WithService("payment",
				policies.RateLimit(100, 10), policies.Bulkhead(20, bulkhead.WithQueue(5, time.Second)),
				policies.Budget(retry.WithFloor(4), retry.WithWindow(time.Second)),
				policies.Method("POST /charges", policies.NoRetry()),
				policies.Method("GET /charges", policies.Hedge(hedge.WithDelay(40*time.Millisecond), hedge.WithMaxAttempts(3))),
				policies.Method("/a/b", policies.Retry(retry.WithAttemptEstimate(7*time.Millisecond), retry.WithoutBudget()))),
			policies.WithService("mail", policies.NoBreaker(), policies.NoRetry(), policies.NoBudget()),
			policies.WithServer(policies.RateLimit(500, 50), policies.Concurrency(64), policies.Shed(shed.WithInitialLimit(33))))
		c := s.Service("payment").Client()
		if _, err := c.Admit(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return retry.Result{} })
		s.Service("payment").Budget().Withdraw()

		got := s.Snapshot()
		breaker := *got.Services[1].Breaker
		if breaker.Name != "payment" || breaker.Successes != 1 {
			t.Errorf("breaker %+v", breaker)
		}
		shedder := *got.Server.Shed
		if shedder.Name != "server" || shedder.Limit != 33 {
			t.Errorf("shed %+v", shedder)
		}
		got.Services[1].Breaker, got.Server.Shed = nil, nil
		want := policies.Snapshot{
			MaxServices: 10,
			Services: []policies.ServiceSnapshot{
				{Name: "mail", Budget: -1, Attempts: policies.AttemptsSnapshot{MaxAttempts: 1, Budget: -1}},
				{
					Name:      "payment",
					RateLimit: &ratelimit.LimiterSnapshot{Name: "payment", Limit: 100, Burst: 10, Tokens: 8},
					Bulkhead:  &bulkhead.Snapshot{Name: "payment", InFlight: 1, Max: 20, MaxQueue: 5},
					Budget:    3,
					Attempts:  policies.AttemptsSnapshot{Policy: resilience.PolicyRetry, MaxAttempts: 3, Budget: 3},
					Methods: []policies.MethodSnapshot{
						{Method: "/a/b", Attempts: policies.AttemptsSnapshot{Policy: resilience.PolicyRetry, MaxAttempts: 3, Estimate: 7 * time.Millisecond, Budget: -1}},
						{Method: "GET /charges", Attempts: policies.AttemptsSnapshot{Policy: resilience.PolicyHedge, MaxAttempts: 3, Delay: 40 * time.Millisecond, Budget: 3}},
						{Method: "POST /charges", Attempts: policies.AttemptsSnapshot{MaxAttempts: 1, Budget: -1}},
					},
				},
			},
			Server: policies.ServerSnapshot{
				RateLimit:   &ratelimit.LimiterSnapshot{Name: "server", Limit: 500, Burst: 50, Tokens: 50},
				Concurrency: &ratelimit.ConcurrencySnapshot{Name: "server", Max: 64},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
	})
}
