// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"net/http"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// RateLimiter admits a request or refuses it: a [*ratelimit.Limiter]. The error of a
// refusal is a [*resilience.RejectedError]; any other one refuses as well, and the
// peer is told no more than that the rate is limited.
type RateLimiter interface {
	Allow(ctx context.Context) error
}

// KeyedLimiter admits a request of a key or refuses it: a [*ratelimit.Keyed], or a
// Limiter of module redislimit. Errors are as for a [RateLimiter].
type KeyedLimiter interface {
	Allow(ctx context.Context, key ratelimit.Key) error
}

// LimitOption configures [RateLimit], [KeyedRateLimit] and [Concurrency]. A
// [ProblemOption] is one.
type LimitOption interface{ applyLimit(*limits) }

type limitOption func(*limits)

func (f limitOption) applyLimit(l *limits) { f(l) }

// WithPriorities sets what says which requests are not limited: those of
// [shed.PriorityHealth]. It is given the path. The default, and nil, is
// [shed.ByMethod], by which that is /livez, /readyz and /healthz: a process whose
// probes are refused under load is taken out of service, and its load goes to the
// next. Give the same function to the shedder, by [shed.WithPriorities]. As there, the
// priority of the context counts before it ([shed.ContextWithPriority]).
func WithPriorities(f shed.PriorityFunc) LimitOption {
	return limitOption(func(l *limits) { l.priority = f })
}

// limits is what limits of all kinds have in common.
type limits struct {
	priority shed.PriorityFunc
	problem  problemConfig
}

func newLimits(opts []LimitOption) limits {
	var l limits
	for _, o := range opts {
		o.applyLimit(&l)
	}
	if l.priority == nil {
		l.priority = shed.ByMethod
	}
	return l
}

// exempts reports whether r is not limited.
func (l *limits) exempts(r *http.Request) bool {
	if p, ok := shed.PriorityFrom(r.Context()); ok {
		return p == shed.PriorityHealth
	}
	return l.priority(r.Context(), r.URL.Path) == shed.PriorityHealth
}

// RateLimit returns the middleware that refuses what l refuses, with 429 and when to
// come back. Health checks are not limited, see [WithPriorities]. The body of a
// request that is refused is left to net/http, which reads a short one and closes the
// connection behind a long one.
//
// It belongs behind [Record], which then says of the request that it was rejected,
// and logs it at warn: a flood of refusals is a flood of lines unless the logger has a
// [github.com/fairlead-go/fairlead/logging.Sampler]. It panics if l is nil.
func RateLimit(l RateLimiter, opts ...LimitOption) Middleware {
	if l == nil {
		panic("httpmw: RateLimit: nil limiter")
	}
	return rateLimited(func(r *http.Request) error { return l.Allow(r.Context()) }, opts)
}

// KeyedRateLimit is [RateLimit] with a limit for each key. key names whose bucket a
// request takes its token from; nil means [PeerKey]. It is called for each request
// that is limited, and must be safe for concurrent use. What it takes from headers is
// the peer's word: a peer that makes up names has a bucket for each, so take only what
// was verified.
func KeyedRateLimit(l KeyedLimiter, key func(*http.Request) ratelimit.Key, opts ...LimitOption) Middleware {
	if l == nil {
		panic("httpmw: KeyedRateLimit: nil limiter")
	}
	if key == nil {
		key = PeerKey
	}
	return rateLimited(func(r *http.Request) error { return l.Allow(r.Context(), key(r)) }, opts)
}

func rateLimited(allow func(*http.Request) error, opts []LimitOption) Middleware {
	l := newLimits(opts)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !l.exempts(r) {
				if err := allow(r); err != nil {
					l.problem.refuse(w, r, resilience.PolicyRateLimit, err)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}
