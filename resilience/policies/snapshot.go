// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"maps"
	"slices"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Snapshot is what a [Set] knows at one moment, for metrics and debug pages. What is nil
// does not apply.
type Snapshot struct {
	// Services are in the order of their names.
	Services []ServiceSnapshot
	// MaxServices is how many there may be, and Overflowed says whether there were more.
	MaxServices int
	Overflowed  bool
	Server      ServerSnapshot
}

// ServiceSnapshot is what is known of a downstream service.
type ServiceSnapshot struct {
	Name      string
	Breaker   *breaker.Snapshot
	RateLimit *ratelimit.LimiterSnapshot
	Bulkhead  *bulkhead.Snapshot
	// Budget is how many retries and hedges the service's budget has left; negative if
	// there is no budget.
	Budget float64
	// Attempts is how often calls are made whose method has no options of its own, and
	// Methods those that have, in the order of their names.
	Attempts AttemptsSnapshot
	Methods  []MethodSnapshot
}

// MethodSnapshot is what is known of a method.
type MethodSnapshot struct {
	Method   string
	Attempts AttemptsSnapshot
}

// AttemptsSnapshot is how often calls are made.
type AttemptsSnapshot struct {
	// Policy is [resilience.PolicyRetry], [resilience.PolicyHedge], or empty if calls
	// are made once.
	Policy      resilience.Policy
	MaxAttempts int
	// Estimate is how long an attempt is expected to take, for retries; 0 if that is
	// not known yet.
	Estimate time.Duration
	// Delay is after how long a call is hedged; 0 if that is not known yet.
	Delay time.Duration
	// Budget is how many retries or hedges are left in the budget of these calls, which
	// may be another than the service's; negative if there is none.
	Budget float64
}

// ServerSnapshot is what is known of this process's own admission.
type ServerSnapshot struct {
	RateLimit   *ratelimit.LimiterSnapshot
	Concurrency *ratelimit.ConcurrencySnapshot
	Shed        *shed.Snapshot
}

// Snapshot returns the present numbers. They are those of each policy at one moment, but
// not of all at the same.
func (s *Set) Snapshot() Snapshot {
	services := s.Services()
	out := Snapshot{
		Services:    make([]ServiceSnapshot, len(services)),
		MaxServices: s.cfg.maxServices,
		Overflowed:  s.over.Load(),
		Server:      s.server.Snapshot(),
	}
	for i, service := range services {
		out.Services[i] = service.Snapshot()
	}
	return out
}

// Snapshot returns the present numbers of a service.
func (s *Service) Snapshot() ServiceSnapshot {
	out := ServiceSnapshot{Name: s.name, Budget: -1, Attempts: s.client.snapshot()}
	if s.client.Breaker != nil {
		out.Breaker = new(s.client.Breaker.Snapshot())
	}
	if s.client.RateLimit != nil {
		out.RateLimit = new(s.client.RateLimit.Snapshot())
	}
	if s.client.Bulkhead != nil {
		out.Bulkhead = new(s.client.Bulkhead.Snapshot())
	}
	if s.budget != nil {
		out.Budget = s.budget.Remaining()
	}
	for _, method := range slices.Sorted(maps.Keys(s.methods)) {
		out.Methods = append(out.Methods, MethodSnapshot{Method: method, Attempts: s.methods[method].snapshot()})
	}
	return out
}

// Snapshot returns the present numbers.
func (s *Server) Snapshot() ServerSnapshot {
	var out ServerSnapshot
	if s.RateLimit != nil {
		out.RateLimit = new(s.RateLimit.Snapshot())
	}
	if s.Concurrency != nil {
		out.Concurrency = new(s.Concurrency.Snapshot())
	}
	if s.Shed != nil {
		out.Shed = new(s.Shed.Snapshot())
	}
	return out
}

func (c *Client) snapshot() AttemptsSnapshot {
	out := AttemptsSnapshot{MaxAttempts: 1, Budget: -1}
	budget := (*retry.Budget)(nil)
	switch {
	case c.Hedge != nil:
		out.Policy, out.MaxAttempts, budget = resilience.PolicyHedge, c.Hedge.MaxAttempts(), c.Hedge.Budget()
		out.Delay, _ = c.Hedge.Delay()
	case c.Retry != nil:
		out.Policy, out.MaxAttempts, budget = resilience.PolicyRetry, c.Retry.MaxAttempts(), c.Retry.Budget()
		out.Estimate = c.Retry.Estimate()
	}
	if budget != nil {
		out.Budget = budget.Remaining()
	}
	return out
}
