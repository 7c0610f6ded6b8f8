// SPDX-License-Identifier: Apache-2.0

package shed_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience/shed"
)

func TestBadValues(t *testing.T) {
	for _, tc := range []struct {
		opt  shed.Option
		want string
	}{
		{shed.WithMinLimit(0), "shed: min limit 0: must be at least 1"},
		{shed.WithMaxLimit(3), "shed: max limit 3: must be from the min limit, 4, to 1000000\nshed: initial limit 20: must be from the min limit, 4, to the max limit, 3"},
		{shed.WithMaxLimit(math.MaxInt), "shed: max limit 9223372036854775807: must be from the min limit, 4, to 1000000"},
		{shed.WithInitialLimit(2), "shed: initial limit 2: must be from the min limit, 4, to the max limit, 1000"},
		{shed.WithWindow(-time.Second, 1), "shed: window -1s: must be at least 1ms"},
		{shed.WithWindow(time.Second, 0), "shed: min samples 0: must be at least 1"},
		{shed.WithSmoothing(1.5), "shed: smoothing 1.5: must be more than 0 and at most 1"},
		{shed.WithSmoothing(math.NaN()), "shed: smoothing NaN: must be more than 0 and at most 1"},
		{shed.WithTolerance(0.9), "shed: tolerance 0.9: must be from 1 to 10"},
		{shed.WithSlack(-1), "shed: slack -1ns: must be 0 or more"},
		{shed.WithProbeInterval(time.Millisecond), "shed: probe interval 1ms: must be at least the window, 250ms"},
		{shed.WithRetryAfter(-time.Second), "shed: retry-after -1s: must be 0 or more"},
		{shed.WithCPU(90, shed.OwnCPU), "shed: cpu target 90: must be more than 0 and at most 1"},
		{shed.WithCPU(0.9, nil), "shed: cpu reader nil: must be a function"},
		{shed.WithCPUInterval(0), "shed: cpu interval 0s: must be at least 10ms"},
		{shed.WithPriorities(nil), "shed: priorities nil: must be a function"},
		{shed.WithClassifier(nil), "shed: classifier nil: must be a function"},
	} {
		if _, err := shed.New("orders", tc.opt); err == nil || err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", err, tc.want)
		}
	}
	if _, err := shed.New(""); err == nil || err.Error() != `shed: name "": must not be empty` {
		t.Errorf("no name: %v", err)
	}
	if s, err := shed.New("orders", shed.WithCPU(90, nil), shed.WithoutCPU()); err != nil || s.Name() != "orders" {
		t.Errorf("%v: values of what is switched off do not matter", err)
	}
}

func TestPriority(t *testing.T) {
	s := newShedder(t)
	for method, want := range map[string]shed.Priority{
		"/grpc.health.v1.Health/Check": shed.PriorityHealth,
		"/grpc.health.v1.Health/Watch": shed.PriorityHealth,
		"/livez":                       shed.PriorityHealth,
		"/readyz":                      shed.PriorityHealth,
		"/healthz":                     shed.PriorityHealth,
		"/healthz/../orders":           shed.PriorityNormal,
		"/orders.Orders/Get":           shed.PriorityNormal,
		"":                             shed.PriorityNormal,
	} {
		if got := s.Priority(t.Context(), method); got != want {
			t.Errorf("%q is %v, want %v", method, got, want)
		}
	}
	ctx := shed.ContextWithPriority(t.Context(), shed.PrioritySheddable)
	if got := s.Priority(ctx, "/livez"); got != shed.PrioritySheddable {
		t.Errorf("the context's priority became %v, want sheddable", got)
	}
	s = newShedder(t, shed.WithPriorities(func(context.Context, string) shed.Priority { return shed.PriorityCritical }))
	if got := s.Priority(t.Context(), "/livez"); got != shed.PriorityCritical {
		t.Errorf("got %v, want critical, as the function says", got)
	}
}

func TestPriorityNames(t *testing.T) {
	for p := shed.PrioritySheddable; p <= shed.PriorityHealth; p++ {
		if got, err := shed.ParsePriority(p.String()); err != nil || got != p {
			t.Errorf("%v became %v, %v", p, got, err)
		}
	}
	if got := (shed.PriorityHealth + 1).String(); got != "invalid" {
		t.Errorf("an unknown priority is %q, want invalid", got)
	}
	_, err := shed.ParsePriority("urgent")
	if want := `shed: priority "urgent": must be one of sheddable, normal, critical, health`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
