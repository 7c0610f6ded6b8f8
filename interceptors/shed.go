// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Shedding refuses the calls that a server has no capacity for. Its methods are safe
// for concurrent use.
type Shedding struct{ shedder *shed.Shedder }

var _ ServerInterceptor = (*Shedding)(nil)

// Shed returns the interceptors that refuse what s refuses, with Unavailable and when
// to come back. A call's priority is [shed.Shedder.Priority] of its full method, or
// of _OTHER for one that the server does not have.
//
// A unary call takes its place until its handler has ended, and how long that took
// and how it ended may move the limit. A stream takes its place until its handler has
// sent the first message, or has ended, and moves nothing: it lasts as long as both
// sides like, and that is no latency. What many open streams cost all the same is for
// [Concurrency] to bound. A place is free again however the handler ends.
//
// It belongs behind [Record], as [RateLimit] does. It panics if s is nil.
func Shed(s *shed.Shedder) *Shedding {
	if s == nil {
		panic("interceptors: Shed: nil shedder")
	}
	return &Shedding{s}
}

// UnaryServer returns the interceptor for unary calls served.
func (s *Shedding) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		lease, err := s.admit(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer lease.Release()
		resp, err := next(ctx, req)
		lease.Done(ctx, outcomeOf(ctx, err))
		return resp, err
	}
}

// StreamServer returns the interceptor for streams served.
func (s *Shedding) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		lease, err := s.admit(ss.Context(), methodOf(srv, info))
		if err != nil {
			return err
		}
		leased := &leasedStream{ServerStream: ss, lease: lease}
		defer leased.lease.Release()
		return next(srv, leased)
	}
}

func (s *Shedding) admit(ctx context.Context, method string) (shed.Lease, error) {
	lease, err := s.shedder.Allow(ctx, s.shedder.Priority(ctx, method))
	if err != nil {
		return shed.Lease{}, refuse(ctx, resilience.PolicyShed, err)
	}
	return lease, nil
}

// leasedStream is a server stream that gives its place back with the first message.
type leasedStream struct {
	grpc.ServerStream
	lease shed.Lease
	sent  atomic.Bool
}

// SendMsg sends m.
func (s *leasedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if !s.sent.Load() && s.sent.CompareAndSwap(false, true) {
		s.lease.Release()
	}
	return err
}
