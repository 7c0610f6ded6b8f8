// SPDX-License-Identifier: Apache-2.0

package policies_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// shape is what a Client is, as far as one can see.
type shape struct {
	Attempts int // negative: hedged; 0: made once
	Breaker  bool
	Rate     float64
	Slots    int
}

func shapeOf(c *policies.Client) shape {
	s := shape{Breaker: c.Breaker != nil}
	if c.Retry != nil {
		s.Attempts = c.Retry.MaxAttempts()
	}
	if c.Hedge != nil {
		s.Attempts -= c.Hedge.MaxAttempts()
	}
	if c.RateLimit != nil {
		s.Rate = float64(c.RateLimit.Snapshot().Limit)
	}
	if c.Bulkhead != nil {
		s.Slots = c.Bulkhead.Snapshot().Max
	}
	return s
}

func TestLayers(t *testing.T) {
	const get, other = "/shop.Payment/Get", "/shop.Payment/Charge"
	attempts := func(n int) policies.AttemptOption { return policies.Retry(retry.WithMaxAttempts(n)) }
	hedges := func(n int) policies.AttemptOption { return policies.Hedge(hedge.WithMaxAttempts(n)) }
	opts := func(o ...policies.ClientOption) []policies.ClientOption { return o }
	standard := shape{Attempts: 3, Breaker: true}
	for _, tc := range []struct {
		name               string
		defaults           []policies.ClientOption
		own                []policies.ClientOption
		service, get, rest shape // of the service, of get, and of another method of the gRPC service
	}{
		{
			name:    "nothing said",
			service: standard, get: standard, rest: standard,
		}, {
			name: "defaults", defaults: opts(attempts(4), policies.NoBreaker(), policies.RateLimit(100, 10), policies.Bulkhead(7)),
			service: shape{4, false, 100, 7}, get: shape{4, false, 100, 7}, rest: shape{4, false, 100, 7},
		}, {
			name: "the service after the defaults", defaults: opts(attempts(4), policies.RateLimit(100, 10), policies.Bulkhead(7)),
			own:     opts(attempts(5), policies.RateLimit(50, 5), policies.Bulkhead(8)),
			service: shape{5, true, 50, 8}, get: shape{5, true, 50, 8}, rest: shape{5, true, 50, 8},
		}, {
			name: "the service without what the defaults have", defaults: opts(policies.RateLimit(100, 10), policies.Bulkhead(7)),
			own: opts(policies.NoRetry(), policies.NoBreaker(), policies.NoRateLimit(), policies.NoBulkhead()),
		}, {
			name: "hedged in place of retried", own: opts(hedges(2)),
			service: shape{Attempts: -2, Breaker: true}, get: shape{Attempts: -2, Breaker: true}, rest: shape{Attempts: -2, Breaker: true},
		}, {
			name: "retried in place of hedged", defaults: opts(hedges(2)), own: opts(attempts(4)),
			service: shape{Attempts: 4, Breaker: true}, get: shape{Attempts: 4, Breaker: true}, rest: shape{Attempts: 4, Breaker: true},
		}, {
			name: "a method", own: opts(policies.Method(get, attempts(6)), policies.Bulkhead(7)),
			service: shape{3, true, 0, 7}, get: shape{6, true, 0, 7}, rest: shape{3, true, 0, 7},
		}, {
			name: "a gRPC service", own: opts(policies.Method("/shop.Payment/", hedges(3))),
			service: standard, get: shape{Attempts: -3, Breaker: true}, rest: shape{Attempts: -3, Breaker: true},
		}, {
			name: "a method after its gRPC service, wherever they stand", own: opts(policies.Method(get, policies.NoRetry()), policies.Method("/shop.Payment/", attempts(6))),
			service: standard, get: shape{Breaker: true}, rest: shape{Attempts: 6, Breaker: true},
		}, {
			name: "a method keeps what its gRPC service has", own: opts(policies.Method(get), policies.Method("/shop.Payment/", attempts(6))),
			service: standard, get: shape{Attempts: 6, Breaker: true}, rest: shape{Attempts: 6, Breaker: true},
		}, {
			name: "another gRPC service", own: opts(policies.Method("/shop.Pay/", attempts(6))),
			service: standard, get: standard, rest: standard,
		}, {
			name: "a method of the defaults", defaults: opts(policies.Method(get, policies.NoRetry())), own: opts(attempts(9)),
			service: shape{Attempts: 9, Breaker: true}, get: shape{Breaker: true}, rest: shape{Attempts: 9, Breaker: true},
		}, {
			name: "a method of both", defaults: opts(policies.Method(get, attempts(5))), own: opts(policies.Method(get, hedges(2)), policies.Method(get, hedges(4))),
			service: standard, get: shape{Attempts: -4, Breaker: true}, rest: standard,
		}, {
			name: "switched off and on again: what was said holds", defaults: opts(attempts(5)), own: opts(policies.NoRetry(), policies.Method(get, policies.Retry())),
			service: shape{Breaker: true}, get: shape{Attempts: 5, Breaker: true}, rest: shape{Breaker: true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The order of the options does not matter, only the layers'.
			s := mustNew(t, policies.WithService("payment", tc.own...), policies.WithDefaults(tc.defaults...))
			svc := s.Service("payment")
			got := []shape{shapeOf(svc.Client()), shapeOf(svc.Method(get)), shapeOf(svc.Method(other))}
			if diff := cmp.Diff([]shape{tc.service, tc.get, tc.rest}, got); diff != "" {
				t.Errorf("service, method and another method (-want +got):\n%s", diff)
			}
			if got, want := shapeOf(s.Service("order").Client()), shapeOf(mustNew(t, policies.WithDefaults(tc.defaults...)).Service("x").Client()); got != want {
				t.Errorf("another service has %+v, want the defaults %+v", got, want)
			}
		})
	}
}

// Options of a policy add up over the layers.
func TestOptionsOfAPolicyAddUp(t *testing.T) {
	s := mustNew(t,
		policies.WithDefaults(
			policies.Retry(retry.WithAttemptEstimate(70*time.Millisecond)),
			policies.Breaker(breaker.WithMinCalls(1)),
			policies.Bulkhead(1, bulkhead.WithQueue(5, time.Second)),
			policies.Budget(retry.WithShare(0))),
		policies.WithService("payment",
			policies.Retry(retry.WithMaxAttempts(5)),
			policies.Breaker(breaker.WithOpenTime(time.Hour)),
			policies.Bulkhead(2),
			policies.Budget(retry.WithFloor(7), retry.WithWindow(time.Second)),
			policies.Method("/a/b", policies.Retry(retry.WithNestedRetries()))))
	svc := s.Service("payment")
	for _, c := range []*policies.Client{svc.Client(), svc.Method("/a/b")} {
		if c.Retry.MaxAttempts() != 5 || c.Retry.Estimate() != 70*time.Millisecond {
			t.Errorf("retry: %d attempts of %v, want 5 of 70ms", c.Retry.MaxAttempts(), c.Retry.Estimate())
		}
	}
	if q := svc.Client().Bulkhead.Snapshot(); q.Max != 2 || q.MaxQueue != 5 {
		t.Errorf("bulkhead: %+v, want 2 with a queue of 5", q)
	}
	if got := svc.Budget().Remaining(); got != 7 {
		t.Errorf("budget: %v retries left, want the floor of 7", got)
	}
	svc.Method("/a/b").Do(t.Context(), func(context.Context, retry.Attempt) retry.Result { return down() })
	if b := svc.Breaker().Snapshot(); b.State != resilience.StateOpen || b.OpenFor < 59*time.Minute {
		t.Errorf("breaker: %+v, want it open for an hour after a single failure", b)
	}
}

// Options of one method must not find their way to another.
func TestMethodsDoNotShareOptions(t *testing.T) {
	opts := []policies.ClientOption{policies.Retry(retry.WithNestedRetries(), retry.WithMaxPushback(0), retry.WithoutBudget())}
	for _, m := range []string{"/a/1", "/a/2", "/a/3", "/a/4"} {
		opts = append(opts, policies.Method(m, policies.Retry(retry.WithMaxAttempts(int(m[3]-'0')))))
	}
	svc := mustNew(t, policies.WithService("payment", opts...)).Service("payment")
	for _, m := range svc.Methods() {
		if got, want := svc.Method(m).Retry.MaxAttempts(), int(m[3]-'0'); got != want {
			t.Errorf("%s: %d attempts, want %d", m, got, want)
		}
	}
	if got := svc.Client().Retry.MaxAttempts(); got != 3 {
		t.Errorf("the service: %d attempts, want 3", got)
	}
}

func TestMethodsShareWhatIsTheServices(t *testing.T) {
	svc := mustNew(t, policies.WithService("payment",
		policies.RateLimit(100, 10), policies.Bulkhead(10),
		policies.Method("/a/", policies.Retry(retry.WithMaxAttempts(2))),
		policies.Method("/a/hedged", policies.Hedge()),
		policies.Method("/a/own", policies.Retry(retry.WithoutBudget())),
		policies.Method("GET /x", policies.Hedge()),
		policies.Method("POST /x", policies.NoRetry()))).Service("payment")
	whole := svc.Client()
	if svc.Budget() == nil || whole.Retry.Budget() != svc.Budget() {
		t.Error("the service's retries are not paid from its budget")
	}
	for _, name := range []string{"/a/b", "/a/hedged", "/a/own", "GET /x", "POST /x", "/b/c", "GET /y"} {
		c := svc.Method(name)
		if c.Breaker != whole.Breaker || c.RateLimit != whole.RateLimit || c.Bulkhead != whole.Bulkhead || c.Breaker != svc.Breaker() {
			t.Errorf("%s has policies of its own", name)
		}
		switch {
		case name == "/a/own":
			if c.Retry.Budget() != nil {
				t.Errorf("%s has a budget though its options say that there is none", name)
			}
		case c.Retry != nil && c.Retry.Budget() != svc.Budget(), c.Hedge != nil && c.Hedge.Budget() != svc.Budget():
			t.Errorf("%s has a budget of its own", name)
		}
	}
	want := []string{"/a/", "/a/hedged", "/a/own", "GET /x", "POST /x"}
	if diff := cmp.Diff(want, svc.Methods()); diff != "" {
		t.Errorf("methods (-want +got):\n%s", diff)
	}
}

func TestNoBudget(t *testing.T) {
	s := mustNew(t, policies.WithDefaults(policies.NoBudget(), policies.Method("/a/b", policies.Hedge())),
		policies.WithService("payment", policies.Budget(retry.WithFloor(5))))
	if svc := s.Service("order"); svc.Budget() != nil || svc.Client().Retry.Budget() != nil || svc.Method("/a/b").Hedge.Budget() != nil {
		t.Error("there is a budget though there must be none")
	}
	if svc := s.Service("payment"); svc.Budget() == nil || svc.Budget().Remaining() != 10 {
		t.Errorf("budget is %v", svc.Budget())
	}
}

func TestServer(t *testing.T) {
	server := mustNew(t, policies.WithName("order"), policies.WithServer(
		policies.RateLimit(500, 50), policies.Concurrency(64, ratelimit.WithQueue(9, time.Second)), policies.Shed(shed.WithInitialLimit(33)))).Server()
	if got := server.RateLimit.Snapshot(); got.Name != "order" || got.Limit != 500 || got.Burst != 50 {
		t.Errorf("rate limit %+v", got)
	}
	if got := server.Concurrency.Snapshot(); got.Name != "order" || got.Max != 64 || got.MaxQueue != 9 {
		t.Errorf("concurrency %+v", got)
	}
	if got := server.Shed.Snapshot(); got.Name != "order" || got.Limit != 33 {
		t.Errorf("shed %+v", got)
	}

	twice := mustNew(t,
		policies.WithServer(policies.RateLimit(500, 50), policies.Concurrency(64, ratelimit.WithQueue(9, time.Second)), policies.Shed()),
		policies.WithServer(policies.NoRateLimit(), policies.NoShed(), policies.Concurrency(10))).Server()
	if twice.RateLimit != nil || twice.Shed != nil || twice.Concurrency.Snapshot().Max != 10 || twice.Concurrency.Snapshot().MaxQueue != 9 {
		t.Errorf("the second layer does not come after the first: %+v", twice)
	}
	if none := mustNew(t, policies.WithServer(policies.Concurrency(64)), policies.WithServer(policies.NoConcurrency())).Server(); none.Concurrency != nil {
		t.Error("there is a limit though there must be none")
	}
}
