// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// RateLimiter admits a call or refuses it: a [*ratelimit.Limiter]. The error of a
// refusal is a [*resilience.RejectedError]; any other one refuses as well, and the
// peer is told no more than that the rate is limited.
type RateLimiter interface {
	Allow(ctx context.Context) error
}

// KeyedLimiter admits a call of a key or refuses it: a [*ratelimit.Keyed], or a
// Limiter of module redislimit. Errors are as for a [RateLimiter].
type KeyedLimiter interface {
	Allow(ctx context.Context, key ratelimit.Key) error
}

// LimitOption configures [RateLimit], [KeyedRateLimit] and [Concurrency].
type LimitOption interface{ applyLimit(*limits) }

type limitOption func(*limits)

func (f limitOption) applyLimit(l *limits) { f(l) }

// WithPriorities sets what says which calls are not limited: those of
// [shed.PriorityHealth]. It is given the full method, or _OTHER for one that the
// server does not have. The default, and nil, is [shed.ByMethod], by which that is
// gRPC's health service: a process whose probes are refused under load is taken out
// of service, and its load goes to the next. Give the same function to the shedder,
// by [shed.WithPriorities]. As there, the priority of the context counts before it
// ([shed.ContextWithPriority]).
func WithPriorities(f shed.PriorityFunc) LimitOption {
	return limitOption(func(l *limits) { l.priority = f })
}

// limits is what limits of all kinds have in common.
type limits struct{ priority shed.PriorityFunc }

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

// exempts reports whether calls of method are not limited.
func (l *limits) exempts(ctx context.Context, method string) bool {
	if p, ok := shed.PriorityFrom(ctx); ok {
		return p == shed.PriorityHealth
	}
	return l.priority(ctx, method) == shed.PriorityHealth
}

// methodOf returns the method of a stream served. grpc-go passes no implementation
// to its unknown service handler: what such a call is named is up to the peer.
func methodOf(srv any, info *grpc.StreamServerInfo) string {
	if srv == nil {
		return semconv.Other
	}
	return info.FullMethod
}

// RateLimiting holds the calls of a server to a rate. Its methods are safe for
// concurrent use.
type RateLimiting struct {
	limits
	allow func(ctx context.Context, method string) error
}

var _ ServerInterceptor = (*RateLimiting)(nil)

// RateLimit returns the interceptors that refuse what l refuses, with
// ResourceExhausted and when to come back. A stream takes one token, when it is
// opened. Health checks are not limited, see [WithPriorities].
//
// It belongs behind [Record], which then says of the call that it was rejected, and
// logs it at warn: a flood of refusals is a flood of lines unless the logger has a
// [github.com/fairlead-go/fairlead/logging.Sampler]. It panics if l is nil.
func RateLimit(l RateLimiter, opts ...LimitOption) *RateLimiting {
	if l == nil {
		panic("interceptors: RateLimit: nil limiter")
	}
	return &RateLimiting{newLimits(opts), func(ctx context.Context, _ string) error { return l.Allow(ctx) }}
}

// KeyedRateLimit is [RateLimit] with a limit for each key. key names whose bucket a
// call takes its token from, given the full method, or _OTHER for one that the server
// does not have; nil means [PeerKey]. It is called for each call that is limited, and
// must be safe for concurrent use. What it takes from metadata is the peer's word: a
// peer that makes up names has a bucket for each, so take only what was verified.
func KeyedRateLimit(l KeyedLimiter, key func(ctx context.Context, method string) ratelimit.Key, opts ...LimitOption) *RateLimiting {
	if l == nil {
		panic("interceptors: KeyedRateLimit: nil limiter")
	}
	if key == nil {
		key = PeerKey
	}
	return &RateLimiting{newLimits(opts), func(ctx context.Context, method string) error { return l.Allow(ctx, key(ctx, method)) }}
}

// UnaryServer returns the interceptor for unary calls served.
func (r *RateLimiting) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if err := r.admit(ctx, info.FullMethod); err != nil {
			return nil, err
		}
		return next(ctx, req)
	}
}

// StreamServer returns the interceptor for streams served.
func (r *RateLimiting) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if err := r.admit(ss.Context(), methodOf(srv, info)); err != nil {
			return err
		}
		return next(srv, ss)
	}
}

func (r *RateLimiting) admit(ctx context.Context, method string) error {
	if r.exempts(ctx, method) {
		return nil
	}
	if err := r.allow(ctx, method); err != nil {
		return refuse(ctx, resilience.PolicyRateLimit, err)
	}
	return nil
}
