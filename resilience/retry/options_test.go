// SPDX-License-Identifier: Apache-2.0

package retry_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []retry.Option
		want []string // field, value and rule; all in the one error
	}{
		{"no attempts", []retry.Option{retry.WithMaxAttempts(0)}, []string{`retry "payment": max attempts 0: must be at least 1`}},
		{"negative per-try timeout", []retry.Option{retry.WithPerTryTimeout(-time.Second)}, []string{"per-try timeout -1s: must not be negative"}},
		{"negative overall timeout", []retry.Option{retry.WithOverallTimeout(-1)}, []string{"overall timeout -1ns: must not be negative"}},
		{"per-try timeout longer than all", []retry.Option{retry.WithPerTryTimeout(2 * time.Second), retry.WithOverallTimeout(time.Second)}, []string{"per-try timeout 2s: must be shorter than the overall timeout, 1s"}},
		{"per-try timeout as long as all", []retry.Option{retry.WithPerTryTimeout(time.Second), retry.WithOverallTimeout(time.Second)}, []string{"per-try timeout 1s: must be shorter"}},
		{"attempts without backoff", []retry.Option{retry.WithBackoff(0, time.Second)}, []string{"backoff base 0s: must be positive: attempts need a backoff"}},
		{"negative backoff", []retry.Option{retry.WithBackoff(-1, time.Second)}, []string{"backoff base -1ns: must be positive"}},
		{"backoff that shrinks", []retry.Option{retry.WithBackoff(time.Second, 999*time.Millisecond)}, []string{"backoff max 999ms: must be at least the base, 1s"}},
		{"negative push-back", []retry.Option{retry.WithMaxPushback(-1)}, []string{"max pushback -1ns: must not be negative"}},
		{"negative estimate", []retry.Option{retry.WithAttemptEstimate(-1)}, []string{"attempt estimate -1ns: must not be negative"}},
		{"client faults", []retry.Option{retry.WithRetryOn(resilience.OutcomeTransient, resilience.OutcomeClientFault)}, []string{"retry on client_fault: must be server_fault, transient"}},
		{"success", []retry.Option{retry.WithRetryOn(resilience.OutcomeOK)}, []string{"retry on ok: must"}},
		{"the caller gave up", []retry.Option{retry.WithRetryOn(resilience.OutcomeCanceled)}, []string{"retry on canceled: must"}},
		{"the caller's time is over", []retry.Option{retry.WithRetryOn(resilience.OutcomeCallerDeadline)}, []string{"retry on caller_deadline: must"}},
		{"an outcome that does not exist", []retry.Option{retry.WithRetryOn(99)}, []string{"retry on invalid: must"}},
		{"nothing to retry", []retry.Option{retry.WithRetryOn()}, []string{"retry on []: must name an outcome"}},
		{"nil budget", []retry.Option{retry.WithBudget(nil)}, []string{"budget nil: must not be nil: WithoutBudget"}},
		{"several", []retry.Option{retry.WithMaxAttempts(-1), retry.WithPerTryTimeout(-1), retry.WithMaxPushback(-2)}, []string{"max attempts -1", "per-try timeout -1ns", "max pushback -2ns"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := retry.New("payment", tc.opts...)
			if p != nil || err == nil {
				t.Fatalf("got %v, %v, want an error", p, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
	if _, err := retry.New(""); err == nil || !strings.Contains(err.Error(), "name") {
		t.Errorf("without a name: %v", err)
	}
}

func TestNewAccepts(t *testing.T) {
	for name, opts := range map[string][]retry.Option{
		"nothing":                     nil,
		"one attempt without backoff": {retry.WithMaxAttempts(1), retry.WithBackoff(0, 0)},
		"no limits":                   {retry.WithPerTryTimeout(0), retry.WithOverallTimeout(0)},
		"constant backoff":            {retry.WithBackoff(time.Second, time.Second)},
		"all that may be retried": {retry.WithRetryOn(resilience.OutcomeServerFault, resilience.OutcomeTransient, resilience.OutcomeOverload,
			resilience.OutcomeTimeout, resilience.OutcomeRejected)},
		"a budget after all": {retry.WithBudget(nil), retry.WithoutBudget()},
	} {
		if _, err := retry.New("payment", opts...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBudgetOf(t *testing.T) {
	shared := mustBudget(t)
	own, other := mustNew(t), mustNew(t)
	if own.Budget() == nil || own.Budget() == other.Budget() {
		t.Error("by default, policies must have a budget each")
	}
	if got := mustNew(t, retry.WithBudget(shared)).Budget(); got != shared {
		t.Error("the shared budget is not used")
	}
	if got := mustNew(t, retry.WithBudget(shared), retry.WithoutBudget()).Budget(); got != nil {
		t.Error("there is a budget though there must be none")
	}
	if p := mustNew(t); p.Name() != "inventory" || p.MaxAttempts() != 3 {
		t.Errorf("policy is %q with %d attempts", p.Name(), p.MaxAttempts())
	}
}

func TestNewBudgetRefuses(t *testing.T) {
	for _, tc := range []struct {
		opt  retry.BudgetOption
		want string
	}{
		{retry.WithShare(-0.1), "retry: budget: share -0.1: must be a fraction from 0 to 1"},
		{retry.WithShare(1.5), "share 1.5: must be a fraction"},
		{retry.WithShare(math.NaN()), "share NaN: must be a fraction"},
		{retry.WithFloor(-1), "floor -1: must be a number of retries a second, not negative"},
		{retry.WithFloor(math.Inf(1)), "floor +Inf: must"},
		{retry.WithFloor(math.NaN()), "floor NaN: must"},
		{retry.WithFloor(0.4), "floor 0.4: must be 0 or come to a retry in the window of 2s: be at least 0.5"},
		{retry.WithWindow(0), "window 0s: must be at least 10ms"},
		{retry.WithWindow(-time.Second), "window -1s: must be at least 10ms"},
	} {
		b, err := retry.NewBudget(tc.opt)
		if b != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, %v, want %q", b, err, tc.want)
		}
	}
	for name, opts := range map[string][]retry.BudgetOption{
		"no share":        {retry.WithShare(0)},
		"all of it":       {retry.WithShare(1)},
		"no floor":        {retry.WithFloor(0)},
		"no retry at all": {retry.WithShare(0), retry.WithFloor(0)},
		"a long window":   {retry.WithFloor(0.4), retry.WithWindow(3 * time.Second)},
	} {
		if _, err := retry.NewBudget(opts...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
