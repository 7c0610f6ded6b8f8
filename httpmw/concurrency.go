// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"net/http"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// ConcurrencyLimiter admits a request until its permit is given back, or refuses it:
// a [*ratelimit.Concurrency] or [*ratelimit.Both]. Errors are as for a [RateLimiter].
type ConcurrencyLimiter interface {
	Allow(ctx context.Context) (ratelimit.Permit, error)
}

// Concurrency returns the middleware that refuses what l refuses, with 429 and when
// to come back. A request keeps its slot until its handler has ended, however it ends;
// those that stream do for as long, so that event streams and upgraded connections
// want a limit of their own. Health checks are not limited, see [WithPriorities].
//
// It belongs behind [Record], as [RateLimit] does. It panics if l is nil.
func Concurrency(l ConcurrencyLimiter, opts ...LimitOption) Middleware {
	if l == nil {
		panic("httpmw: Concurrency: nil limiter")
	}
	c := newLimits(opts)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !c.exempts(r) {
				permit, err := l.Allow(r.Context())
				if err != nil {
					c.problem.refuse(w, r, resilience.PolicyConcurrency, err)
					return
				}
				defer permit.Done()
			}
			next.ServeHTTP(w, r)
		})
	}
}
