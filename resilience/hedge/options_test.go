// SPDX-License-Identifier: Apache-2.0

package hedge_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/hedge"
)

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []hedge.Option
		want []string // field, value and rule; all in the one error
	}{
		{"no attempts", []hedge.Option{hedge.WithMaxAttempts(0)}, []string{`hedge "payment": max attempts 0: must be from 1, which is the first attempt, to 5`}},
		{"too many", []hedge.Option{hedge.WithMaxAttempts(6)}, []string{"max attempts 6: must be from 1"}},
		{"no delay", []hedge.Option{hedge.WithDelay(0)}, []string{"delay 0s: must be positive: without one, every call is sent twice"}},
		{"negative delay", []hedge.Option{hedge.WithDelay(-time.Second)}, []string{"delay -1s: must be positive"}},
		{"quantile 0", []hedge.Option{hedge.WithQuantile(0)}, []string{"quantile 0: must be more than 0 and less than 1"}},
		{"quantile 1", []hedge.Option{hedge.WithQuantile(1)}, []string{"quantile 1: must be"}},
		{"a percentage", []hedge.Option{hedge.WithQuantile(95)}, []string{"quantile 95: must be"}},
		{"no number", []hedge.Option{hedge.WithQuantile(math.NaN())}, []string{"quantile NaN: must be"}},
		{"negative min delay", []hedge.Option{hedge.WithMinDelay(-1)}, []string{"min delay -1ns: must not be negative"}},
		{"client faults", []hedge.Option{hedge.WithNonFatal(resilience.OutcomeClientFault)}, []string{"non-fatal client_fault: must be server_fault"}},
		{"success", []hedge.Option{hedge.WithNonFatal(resilience.OutcomeOK)}, []string{"non-fatal ok: must"}},
		{"nil budget", []hedge.Option{hedge.WithBudget(nil)}, []string{"budget nil: must not be nil: WithoutBudget"}},
		{"several", []hedge.Option{hedge.WithMaxAttempts(-1), hedge.WithDelay(-1)}, []string{"max attempts -1", "delay -1ns"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := hedge.New("payment", tc.opts...)
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
	if _, err := hedge.New(""); err == nil || !strings.Contains(err.Error(), "name") {
		t.Errorf("without a name: %v", err)
	}
}

func TestNewAccepts(t *testing.T) {
	for name, opts := range map[string][]hedge.Option{
		"nothing":                  nil,
		"every failure is fatal":   {hedge.WithNonFatal()},
		"a budget after all":       {hedge.WithBudget(nil), hedge.WithoutBudget()},
		"as many as there may be":  {hedge.WithMaxAttempts(5)},
		"fixed until it is known":  {hedge.WithDelay(time.Second), hedge.WithQuantile(0.99)},
		"no least of the quantile": {hedge.WithMinDelay(0)},
	} {
		if _, err := hedge.New("payment", opts...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p := mustNew(t); p.Name() != "inventory" || p.MaxAttempts() != 2 || p.Budget() == nil || p.Budget() == mustNew(t).Budget() {
		t.Errorf("default is %q, %d attempts, budget %v", p.Name(), p.MaxAttempts(), p.Budget())
	}
	if b := mustNew(t, hedge.WithoutBudget()).Budget(); b != nil {
		t.Errorf("budget %v, want none", b)
	}
}
