// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// ConcurrencyLimiter admits a call until its permit is given back, or refuses it: a
// [*ratelimit.Concurrency] or [*ratelimit.Both]. Errors are as for a [RateLimiter].
type ConcurrencyLimiter interface {
	Allow(ctx context.Context) (ratelimit.Permit, error)
}

// ConcurrencyLimiting holds a server to a number of calls at once. Its methods are
// safe for concurrent use.
type ConcurrencyLimiting struct {
	limits
	limiter ConcurrencyLimiter
}

var _ ServerInterceptor = (*ConcurrencyLimiting)(nil)

// Concurrency returns the interceptors that refuse what l refuses, with
// ResourceExhausted and when to come back. A call keeps its slot until its handler
// has ended, however it ends; a stream does for its whole life, so that streams which
// stay open for long want a limit of their own. Health checks are not limited, see
// [WithPriorities].
//
// It belongs behind [Record], as [RateLimit] does. It panics if l is nil.
func Concurrency(l ConcurrencyLimiter, opts ...LimitOption) *ConcurrencyLimiting {
	if l == nil {
		panic("interceptors: Concurrency: nil limiter")
	}
	return &ConcurrencyLimiting{newLimits(opts), l}
}

// UnaryServer returns the interceptor for unary calls served.
func (c *ConcurrencyLimiting) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		permit, err := c.admit(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer permit.Done()
		return next(ctx, req)
	}
}

// StreamServer returns the interceptor for streams served.
func (c *ConcurrencyLimiting) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		permit, err := c.admit(ss.Context(), methodOf(srv, info))
		if err != nil {
			return err
		}
		defer permit.Done()
		return next(srv, ss)
	}
}

// admit returns the permit of a call, which is the zero one for a call that is not
// limited.
func (c *ConcurrencyLimiting) admit(ctx context.Context, method string) (ratelimit.Permit, error) {
	if c.exempts(ctx, method) {
		return ratelimit.Permit{}, nil
	}
	permit, err := c.limiter.Allow(ctx)
	if err != nil {
		return ratelimit.Permit{}, refuse(ctx, resilience.PolicyConcurrency, err)
	}
	return permit, nil
}
