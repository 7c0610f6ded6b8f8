// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/policylog"
)

// WithPolicies adds to the service's policies: what applies to the calls of each
// downstream service, over gRPC and HTTP alike, and what protects the service
// from its callers. Several uses add up. By default every client retries, within
// a budget, and has a circuit breaker for each downstream service, both with
// their package's defaults; nothing limits what comes in.
//
// To have them in a file, see package policyfile. Fallbacks belong to one client:
// see [interceptors.WithFallbacks] and [httpmw.WithFallbacks]. Metrics, logs and
// spans tell what is decided.
func WithPolicies(opts ...policies.Option) Option {
	return optionFunc(func(c *config) { c.policies = append(c.policies, opts...) })
}

// Policies returns the service's policies, for operators who force a breaker and
// pages that show their state.
func (s *Service) Policies() *policies.Set { return s.policies }

// Observer returns who is told by the service's policies: its metrics, its spans and
// its log. Give it to what you make by hand, such as a fallback, so that it is told
// of as well.
func (s *Service) Observer() resilience.Observer {
	return resilience.Observers(s.metrics.Policies(), record.PolicyEvents(), policylog.Observer(s.logger))
}

func (s *Service) setUpPolicies() error {
	own := []policies.Option{policies.WithName(s.config.name), policies.WithObserver(s.Observer())}
	set, err := policies.New(append(own, s.config.policies...)...)
	if err != nil {
		return err
	}
	s.policies = set
	s.metrics.CollectPolicies(func() metrics.PolicyStates { return policyStates(set.Snapshot()) })
	return nil
}

// admitGRPC returns what protects the service from its callers over gRPC.
func (s *Service) admitGRPC() []interceptors.ServerInterceptor {
	var is []interceptors.ServerInterceptor
	admission := s.policies.Server()
	if admission.RateLimit != nil {
		is = append(is, interceptors.RateLimit(admission.RateLimit))
	}
	if admission.Concurrency != nil {
		is = append(is, interceptors.Concurrency(admission.Concurrency))
	}
	if admission.Shed != nil {
		is = append(is, interceptors.Shed(admission.Shed))
	}
	return is
}

// admitHTTP returns what protects the service from its callers over HTTP.
func (s *Service) admitHTTP() []httpmw.Middleware {
	var mws []httpmw.Middleware
	admission := s.policies.Server()
	if admission.RateLimit != nil {
		mws = append(mws, httpmw.RateLimit(admission.RateLimit))
	}
	if admission.Concurrency != nil {
		mws = append(mws, httpmw.Concurrency(admission.Concurrency))
	}
	if admission.Shed != nil {
		mws = append(mws, httpmw.Shed(admission.Shed))
	}
	return mws
}

// policyStates is a snapshot of policies as metrics take it.
func policyStates(s policies.Snapshot) metrics.PolicyStates {
	var out metrics.PolicyStates
	for _, service := range s.Services {
		if b := service.Breaker; b != nil {
			out.Breakers = append(out.Breakers, metrics.BreakerState{Name: b.Name, State: b.State, Forced: b.Forced})
		}
		if l := service.RateLimit; l != nil {
			out.RateLimits = append(out.RateLimits, metrics.RateLimitState{Name: l.Name, Tokens: l.Tokens, Burst: l.Burst})
		}
		if b := service.Bulkhead; b != nil {
			out.Concurrency = append(out.Concurrency, metrics.ConcurrencyState{
				Policy: resilience.PolicyBulkhead, Name: b.Name, InFlight: b.InFlight, Limit: b.Max, Queued: queued(b.Queued, b.MaxQueue),
			})
		}
		if service.Budget >= 0 {
			out.Budgets = append(out.Budgets, metrics.BudgetState{Name: service.Name, Remaining: service.Budget})
		}
	}
	if l := s.Server.RateLimit; l != nil {
		out.RateLimits = append(out.RateLimits, metrics.RateLimitState{Name: l.Name, Tokens: l.Tokens, Burst: l.Burst})
	}
	if c := s.Server.Concurrency; c != nil {
		out.Concurrency = append(out.Concurrency, metrics.ConcurrencyState{
			Policy: resilience.PolicyConcurrency, Name: c.Name, InFlight: c.InFlight, Limit: c.Max, Queued: queued(c.Queued, c.MaxQueue),
		})
	}
	if sh := s.Server.Shed; sh != nil {
		out.Concurrency = append(out.Concurrency, metrics.ConcurrencyState{
			Policy: resilience.PolicyShed, Name: sh.Name, InFlight: sh.InFlight, Limit: sh.Limit, Queued: -1,
		})
	}
	return out
}

// queued is negative where nobody can wait.
func queued(n, room int) int {
	if room == 0 {
		return -1
	}
	return n
}
