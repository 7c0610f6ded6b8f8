// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// Deadlines treats deadlines as a budget that shrinks hop by hop. Its methods
// are safe for concurrent use.
type Deadlines struct{ budget ctxutil.Budget }

var (
	_ ServerInterceptor = (*Deadlines)(nil)
	_ ClientInterceptor = (*Deadlines)(nil)
)

// Deadline returns the interceptors that hold calls to b. gRPC itself carries
// the deadline to the next hop; this keeps a reserve of it for the reply, caps
// it, sets one where there is none, and refuses a call whose budget is spent
// before it is sent or handled, with DeadlineExceeded.
//
// Take the reserve on one side only: usually clients use a budget with the
// default reserve, and servers one with [ctxutil.WithReserve](0) and a cap.
//
// The cause of the call's context says whose deadline passed; see
// [ctxutil.EndedBy].
func Deadline(b ctxutil.Budget) *Deadlines { return &Deadlines{budget: b} }

// UnaryServer returns the interceptor for unary calls served.
func (d *Deadlines) UnaryServer() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return d.serve(ctx, req, next)
	}
}

func (d *Deadlines) serve(ctx context.Context, req any, next grpc.UnaryHandler) (any, error) {
	ctx, cancel, err := d.start(ctx, true)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return next(ctx, req)
}

// StreamServer returns the interceptor for streams served.
func (d *Deadlines) StreamServer() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, cancel, err := d.start(ss.Context(), true)
		if err != nil {
			return err
		}
		defer cancel()
		if ctx != ss.Context() {
			ss = &contextStream{ServerStream: ss, ctx: ctx}
		}
		return next(srv, ss)
	}
}

// UnaryClient returns the interceptor for unary calls made.
func (d *Deadlines) UnaryClient() grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		ctx, cancel, err := d.start(ctx, false)
		if err != nil {
			return err
		}
		defer cancel()
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

// StreamClient returns the interceptor for streams opened. The stream's timer
// is released when its last message or error has been received.
func (d *Deadlines) StreamClient() grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		limited, cancel, err := d.start(ctx, false)
		if err != nil {
			return nil, err
		}
		cs, err := open(limited, desc, cc, method, opts...)
		if err != nil {
			cancel()
			return nil, err
		}
		if limited == ctx {
			return cs, nil
		}
		return newClientStream(cs, desc, func(error) { cancel() }), nil
	}
}

// start applies the budget to ctx, the context of a call served or made, and
// tells the call's record of it. The CancelFunc is never nil.
func (d *Deadlines) start(ctx context.Context, server bool) (context.Context, context.CancelFunc, error) {
	call := record.FromContext(ctx)
	if call != nil && call.Kind().IsServer() != server {
		call = nil // this call has no record; that one is around it
	}
	limited, cancel, err := ctxutil.WithBudget(ctx, d.budget)
	switch {
	case err != nil:
		if call != nil {
			call.NoteRefused()
		}
		err = &budgetError{err}
	case call != nil && limited != ctx:
		call.SetLimit(limited)
	}
	return limited, cancel, err
}

// budgetError is ctxutil's error of a budget that is spent, as gRPC understands it.
type budgetError struct{ error }

// GRPCStatus is what a peer sees of it.
func (*budgetError) GRPCStatus() *status.Status {
	return statusOfRejection(&resilience.RejectedError{Policy: resilience.PolicyDeadline})
}

// Unwrap gives the budget's own error.
func (e *budgetError) Unwrap() error { return e.error }
