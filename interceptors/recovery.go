// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/record"
)

// errPanic is all that a peer learns about a panic, and errGoexit what the
// record says of a handler that ended its goroutine: no peer gets that answer.
var (
	errPanic  = status.Error(codes.Internal, "internal error")
	errGoexit = status.Error(codes.Internal, "the handler ended its goroutine")
)

// Recovering ends panics of handlers. Its methods are safe for concurrent use.
type Recovering struct {
	answerWith func(ctx context.Context, value any) error
	logger     *slog.Logger
}

var _ ServerInterceptor = (*Recovering)(nil)

// RecoveryOption configures [Recovery].
type RecoveryOption interface{ applyRecovery(*Recovering) }

type recoveryOptionFunc func(*Recovering)

func (f recoveryOptionFunc) applyRecovery(r *Recovering) { f(r) }

// WithPanicAnswer sets the error a peer gets for a panic. It is called with
// the request's context and the panic's value on the goroutine that panicked,
// and its error reaches the peer, so it must not tell what the value says. If it
// returns nil, or panics itself, the peer gets the default. The default, and
// nil, is Internal with the message "internal error".
func WithPanicAnswer(answer func(ctx context.Context, value any) error) RecoveryOption {
	return recoveryOptionFunc(func(r *Recovering) { r.answerWith = answer })
}

// WithPanicLogger sets where a panic is logged when there is no record above
// that logs it. The default, and nil, is [slog.Default].
func WithPanicLogger(l *slog.Logger) RecoveryOption {
	return recoveryOptionFunc(func(r *Recovering) { r.logger = l })
}

// Recovery returns the interceptors that turn a panic of a handler, or of an
// interceptor further in, into an error. The value and the stack go to the
// call's record, which has them on the span, in the request log and in
// fairlead_panics_total; without a record they are logged. The peer learns
// nothing but "internal error".
func Recovery(opts ...RecoveryOption) *Recovering {
	r := &Recovering{}
	for _, o := range opts {
		o.applyRecovery(r)
	}
	return r
}

// UnaryServer returns the interceptor for unary calls served.
func (r *Recovering) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer r.end(ctx, &err)
		return next(ctx, req)
	}
}

// StreamServer returns the interceptor for streams served.
func (r *Recovering) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer r.end(ss.Context(), &err)
		return next(srv, ss)
	}
}

// end is deferred around a handler.
func (r *Recovering) end(ctx context.Context, err *error) {
	v := recover()
	if v == nil {
		return
	}
	stack := debug.Stack()
	if call := record.FromContext(ctx); call != nil {
		call.Panicked(v, stack)
	} else {
		r.log().ErrorContext(ctx, "panic recovered", slog.Any("panic", v), slog.String("stack", string(stack)))
	}
	*err = r.answer(ctx, v)
}

// answer is the error the peer gets for a panic. A panic of answerWith itself
// changes nothing.
func (r *Recovering) answer(ctx context.Context, v any) (err error) {
	if r.answerWith == nil {
		return errPanic
	}
	defer func() {
		if recover() != nil || err == nil {
			err = errPanic
		}
	}()
	return r.answerWith(ctx, v)
}

func (r *Recovering) log() *slog.Logger {
	if r.logger != nil {
		return r.logger
	}
	return slog.Default()
}
