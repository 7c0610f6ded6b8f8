// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"maps"
	"slices"
	"strings"

	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// Client is what applies to the calls of one method of a downstream service. A field
// that is nil does not apply; the zero Client sends every call once. Those of a
// [Service] are shared and must not be changed.
type Client struct {
	// Retry or Hedge says when a call is made again; one of them is nil.
	Retry *retry.Policy
	Hedge *hedge.Policy
	// Breaker, RateLimit and Bulkhead apply to each attempt, and are the same for all
	// methods of a service.
	Breaker   *breaker.Breaker
	RateLimit *ratelimit.Limiter
	Bulkhead  *bulkhead.Bulkhead
}

// Service is what applies to the calls of one downstream service. Use [Set.Service].
// It never changes, and is safe for concurrent use.
type Service struct {
	name    string
	budget  *retry.Budget
	client  *Client
	methods map[string]*Client
}

// Name returns the name of the service.
func (s *Service) Name() string { return s.name }

// Client returns what applies to calls of which no method is known, or which has no
// options of its own.
func (s *Service) Client() *Client { return s.client }

// Breaker returns the service's breaker, by which operators force it open and closed;
// nil if it has none.
func (s *Service) Breaker() *breaker.Breaker { return s.client.Breaker }

// Budget returns the budget that the service's retries and hedges share; nil if it has
// none.
func (s *Service) Budget() *retry.Budget { return s.budget }

// Method returns what applies to the calls of one method: for gRPC the full method,
// such as "/shop.Payment/Charge", for HTTP the pattern, of those that [Service.Methods]
// returns, that the request matches. It is always the same for the same name, and
// never nil.
func (s *Service) Method(name string) *Client {
	if len(s.methods) == 0 {
		return s.client
	}
	if c, ok := s.methods[name]; ok {
		return c
	}
	if c, ok := s.methods[allMethodsOf(name)]; ok {
		return c
	}
	return s.client
}

// Methods returns the names, in alphabetical order, that have options of their own:
// gRPC methods and services begin with a slash, HTTP patterns do not.
func (s *Service) Methods() []string { return slices.Sorted(maps.Keys(s.methods)) }

// allMethodsOf returns the name of all methods of the gRPC service that a full method
// belongs to, and nothing for what is no full method.
func allMethodsOf(name string) string {
	if !strings.HasPrefix(name, "/") {
		return ""
	}
	return name[:strings.LastIndexByte(name, '/')+1]
}
