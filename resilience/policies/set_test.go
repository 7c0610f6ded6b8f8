// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestDefaults(t *testing.T) {
	s := mustNew(t)
	svc := s.Service("payment")
	if svc.Name() != "payment" {
		t.Errorf("the service is called %q", svc.Name())
	}
	c := svc.Client()
	if c.Retry == nil || c.Breaker == nil || c.Hedge != nil || c.RateLimit != nil || c.Bulkhead != nil {
		t.Errorf("got %+v, want retry and breaker alone", c)
	}
	if c.Retry.Name() != "payment" || c.Breaker.Name() != "payment" {
		t.Errorf("the policies are called %q and %q", c.Retry.Name(), c.Breaker.Name())
	}
	if got := *s.Server(); got != (policies.Server{}) {
		t.Errorf("the server has %+v, want nothing", got)
	}
	if len(svc.Methods()) != 0 || svc.Method("/a/b") != c || svc.Method("GET /x") != c || svc.Method("") != c {
		t.Error("methods have options of their own, and nobody gave them any")
	}
}

func TestSameNameSameService(t *testing.T) {
	s := mustNew(t, policies.WithService("order"))
	if s.Service("payment") != s.Service("payment") || s.Service("order") != s.Service("order") {
		t.Error("a service is another one the second time")
	}
	if s.Service("payment").Breaker() == s.Service("order").Breaker() {
		t.Error("two services share a breaker")
	}
	if s.Service("payment").Budget() == s.Service("order").Budget() {
		t.Error("two services share a budget")
	}
	if a, b := s.Service("payment").Method("/x/y"), s.Service("payment").Method("/x/y"); a != b {
		t.Error("a method is another one the second time")
	}
}

func TestLookupDoesNotAdd(t *testing.T) {
	s := mustNew(t, policies.WithService("order"))
	if svc, ok := s.Lookup("order"); !ok || svc != s.Service("order") {
		t.Errorf("order: got %v, %v", svc, ok)
	}
	if svc, ok := s.Lookup("odrer"); ok || svc != nil {
		t.Errorf("odrer: got %v, %v", svc, ok)
	}
	s.Service("payment")
	s.Service("mail")
	var names []string
	for _, svc := range s.Services() {
		names = append(names, svc.Name())
	}
	if diff := cmp.Diff([]string{"mail", "order", "payment"}, names); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
}

// A name that came from outside must not fill the memory, and what comes after must
// not be shut out by it.
func TestServicesAreBounded(t *testing.T) {
	var told []resilience.Degradation
	s := mustNew(t,
		policies.WithMaxServices(3),
		policies.WithService("order", policies.Bulkhead(1)),
		policies.WithObserver(resilience.Observer{Degraded: func(_ context.Context, d resilience.Degradation) { told = append(told, d) }}))
	for i := range 100 {
		s.Service(fmt.Sprintf("service-%d", i))
	}
	if got := len(s.Services()); got != 3 {
		t.Errorf("%d services, want 3", got)
	}
	other := s.Service("service-99")
	if other != s.Service("service-50") || other.Name() != policies.OtherServices {
		t.Errorf("beyond the most there is %q", other.Name())
	}
	if *other.Client() != (policies.Client{}) || other.Breaker() != nil || other.Budget() != nil || other.Method("/a/b") != other.Client() {
		t.Errorf("others are called with %+v, want nothing", other.Client())
	}
	if s.Service("order").Client().Bulkhead == nil || s.Service("service-1").Client().Retry == nil {
		t.Error("those within the bound have lost their policies")
	}
	if len(told) != 1 {
		t.Fatalf("told %d times, want once", len(told))
	}
	if d := told[0]; d.Name != policies.OtherServices || d.Since.IsZero() || !strings.Contains(d.Err.Error(), `"service-2"`) {
		t.Errorf("told of %+v", d)
	}
	if !s.Snapshot().Overflowed || mustNew(t).Snapshot().Overflowed {
		t.Error("the snapshot does not say so")
	}
}

func TestServiceWithoutName(t *testing.T) {
	s := mustNew(t)
	if svc := s.Service(""); svc.Name() != policies.OtherServices {
		t.Errorf("got %q", svc.Name())
	}
	if len(s.Services()) != 0 || s.Snapshot().Overflowed {
		t.Error("it was added")
	}
}

// What one service does is nobody else's matter.
func TestOperatorsForceABreaker(t *testing.T) {
	s := mustNew(t)
	svc, ok := s.Lookup("payment")
	if ok {
		t.Fatal("there is a service that nobody has called")
	}
	svc = s.Service("payment")
	svc.Breaker().ForceOpen(t.Context())
	call := func(service string) resilience.Outcome {
		return s.Service(service).Method("/shop.Payment/Charge").Do(t.Context(), func(context.Context, retry.Attempt) retry.Result {
			return retry.Result{}
		}).Outcome
	}
	if got := call("payment"); got != resilience.OutcomeRejected {
		t.Errorf("payment: %v, want it rejected", got)
	}
	if got := call("order"); got != resilience.OutcomeOK {
		t.Errorf("order: %v, want it unaffected", got)
	}
	svc.Breaker().Reset(t.Context())
	if got := call("payment"); got != resilience.OutcomeOK {
		t.Errorf("payment after the reset: %v", got)
	}
}

// The bound holds for those that come at the same time, too.
func TestServicesAreBoundedAtOnce(t *testing.T) {
	for range 200 {
		s := mustNew(t, policies.WithMaxServices(1))
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				<-start
				s.Service(fmt.Sprint(i))
			})
		}
		close(start)
		wg.Wait()
		if got := len(s.Services()); got != 1 {
			t.Fatalf("%d services, want 1", got)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	s := mustNew(t, policies.WithMaxServices(20), policies.WithDefaults(policies.Bulkhead(100), policies.Method("/a/", policies.Hedge())))
	var first sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				name := fmt.Sprint("service-", i%30)
				svc := s.Service(name)
				if was, _ := first.LoadOrStore(name, svc); was != svc && svc.Name() != policies.OtherServices {
					t.Errorf("%s is two services", name)
				}
				svc.Method("/a/b").Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return down() })
				svc.Method("/c/d").Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return retry.Result{} })
				if i%50 == 0 {
					s.Snapshot()
				}
			}
		})
	}
	wg.Wait()
	if got := len(s.Services()); got != 20 {
		t.Errorf("%d services, want 20", got)
	}
}
