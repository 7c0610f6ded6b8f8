// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/drain"
)

// errShutdown is what the caller gets of a call that was cut. It did begin, so
// that it is the caller's to decide whether it may be made again, elsewhere.
var errShutdown = status.Error(codes.Unavailable, "the server is shutting down")

// Drains counts the calls of a server, and ends them when it is drained. Its
// methods are safe for concurrent use.
type Drains struct{ drainer *drain.Drainer }

var _ ServerInterceptor = (*Drains)(nil)

// Drain returns the interceptors that count calls in d, for a server that is
// drained before it is stopped. The handler of a stream gets a [drain.Notice];
// one that is still there when time is over has its context canceled, with the
// cause [ctxutil.ErrShutdown]. A unary call has a deadline and gets neither:
// stopping the server ends it. The caller of a call that ends so gets
// Unavailable. gRPC itself asks callers to go elsewhere, when
// [grpc.Server.GracefulStop] is called.
//
// It stands inside of the record, which then tells what the caller got, and of the
// deadline.
func Drain(d *drain.Drainer) *Drains { return &Drains{drainer: d} }

// UnaryServer returns the interceptor for unary calls served.
func (d *Drains) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		d.drainer.Begin()
		defer d.drainer.End()
		resp, err := next(ctx, req)
		if err != nil && ctx.Err() != nil && d.drainer.Context().Err() != nil {
			err = errShutdown
		}
		return resp, err
	}
}

// StreamServer returns the interceptor for streams served.
func (d *Drains) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		d.drainer.Begin()
		defer d.drainer.End()
		ctx, release := d.drainer.Attach(ss.Context())
		defer release()
		err := next(srv, &contextStream{ServerStream: ss, ctx: ctx})
		if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), ctxutil.ErrShutdown) {
			err = errShutdown
		}
		return err
	}
}
