// SPDX-License-Identifier: Apache-2.0

package breaker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

func TestRegistryKeepsOneBreakerPerService(t *testing.T) {
	r, err := breaker.NewRegistry(
		breaker.WithMinCalls(2), breaker.WithOpenTime(9*time.Second), breaker.WithJitter(0),
		breaker.WithService("stock", breaker.WithMinCalls(3)))
	if err != nil {
		t.Fatal(err)
	}
	call(t, r.For("payment"), 2, transient)
	call(t, r.For("stock"), 2, transient)
	wantState(t, r.For("payment"), open)
	wantState(t, r.For("stock"), closed)
	call(t, r.For("stock"), 1, transient)
	wantState(t, r.For("stock"), open)

	for _, s := range r.Snapshot() {
		if s.LastTrip.OpenFor != 9*time.Second {
			t.Errorf("%s is open for %v, want 9s", s.Name, s.LastTrip.OpenFor)
		}
	}
	s := r.Snapshot()
	if len(s) != 2 || s[0].Name != "payment" || s[1].Name != "stock" || s[0].State != open {
		t.Errorf("snapshot %+v", s)
	}
}

func TestRegistryConcurrently(t *testing.T) {
	r, err := breaker.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var found [8][100]*breaker.Breaker
	for i := range found {
		wg.Go(func() {
			for j := range found[i] {
				found[i][j] = r.For(fmt.Sprint(j))
			}
		})
	}
	wg.Wait()
	for _, breakers := range found {
		for j, b := range breakers {
			if b != found[0][j] || b.Name() != fmt.Sprint(j) {
				t.Fatalf("service %d: breaker %q at %p, want one at %p", j, b.Name(), b, found[0][j])
			}
		}
	}
}

func TestRegistryIsBounded(t *testing.T) {
	var told []resilience.Degradation
	r, err := breaker.NewRegistry(
		breaker.WithMinCalls(1), breaker.WithMaxServices(3),
		breaker.WithObserver(resilience.Observer{
			Degraded: func(_ context.Context, e resilience.Degradation) { told = append(told, e) },
		}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		b := r.For(fmt.Sprintf("service-%d", i))
		call(t, b, 1, transient)
		if want := i < 3; (b.State() == open) != want {
			t.Fatalf("service %d: %v, want opened: %v", i, b.State(), want)
		}
	}
	if got := r.For("another").Name(); got != breaker.OtherServices {
		t.Errorf("name %q, want %q", got, breaker.OtherServices)
	}
	call(t, r.For("another"), 100, transient)
	if got := r.For("service-1").Name(); got != "service-1" {
		t.Errorf("name %q, want service-1", got)
	}
	if n := len(r.Snapshot()); n != 3 {
		t.Errorf("%d breakers, want 3", n)
	}
	if len(told) != 1 || told[0].Policy != resilience.PolicyBreaker || told[0].Name != breaker.OtherServices ||
		told[0].Since.IsZero() || !strings.Contains(told[0].Err.Error(), "service-3") {
		t.Errorf("told %+v, want once of service-3", told)
	}
}

func TestRegistryRefusesBadOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  breaker.RegistryOption
		want string
	}{
		"max":      {breaker.WithMaxServices(0), "breaker: max services 0: must be at least 1"},
		"name":     {breaker.WithService("", breaker.WithProbes(1)), `breaker: name "": must not be empty`},
		"service":  {breaker.WithService("stock", breaker.WithProbes(0)), `breaker: service "stock": breaker: probes 0: must be from 1 to 1000`},
		"defaults": {breaker.WithProbes(0), "breaker: probes 0: must be from 1 to 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := breaker.NewRegistry(tc.opt); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
