// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	drains "github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/interceptors"
)

// TestDrain: a call of each kind that ends by itself, that takes the notice,
// that ends with its context, and that hangs on a server which is stopped.
func TestDrain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		handle func(ctx context.Context, cut <-chan struct{}) error
		unary  codes.Code
		stream codes.Code
	}{
		{"ends by itself", func(context.Context, <-chan struct{}) error { return nil }, codes.OK, codes.OK},
		{"fails by itself", func(context.Context, <-chan struct{}) error {
			return status.Error(codes.NotFound, "no such thing")
		}, codes.NotFound, codes.NotFound},
		{"takes the notice", func(ctx context.Context, cut <-chan struct{}) error {
			select {
			case <-drains.Notice(ctx):
				return status.Error(codes.Aborted, "come back elsewhere")
			case <-cut:
				return errors.New("no notice")
			}
		}, codes.Unknown, codes.Aborted},
		{"ends with its context", func(ctx context.Context, _ <-chan struct{}) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, codes.Unavailable, codes.Unavailable},
		{"ends well when it is cut", func(ctx context.Context, cut <-chan struct{}) error {
			<-cut
			return nil
		}, codes.OK, codes.OK},
	} {
		for _, kind := range callKinds {
			if kind.name == "unary" && tc.unary == codes.Unavailable {
				continue // its context ends when the server is stopped: below
			}
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				d := drains.New()
				in := make(chan struct{})
				srv := &service{handle: func(ctx context.Context) error {
					close(in)
					return tc.handle(ctx, d.Context().Done())
				}}
				cc := serve(t, srv, interceptors.ServerOptions(interceptors.Drain(d)), interceptors.DialOptions())
				got := make(chan error, 1)
				go func() { got <- kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)) }()
				<-in
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				result := d.Drain(ctx, nil, 10*time.Second)
				want := tc.stream
				if kind.name == "unary" {
					want = tc.unary
				}
				if err := <-got; status.Code(err) != want {
					t.Errorf("caller got %v, want %v", err, want)
				}
				if result.Stuck != 0 || d.Active() != 0 {
					t.Errorf("result %+v, %d active", result, d.Active())
				}
			})
		}
	}
}

// TestDrainSaysWhy: the context of a stream that is cut says so, and so does the
// error of its caller.
func TestDrainSaysWhy(t *testing.T) {
	t.Parallel()
	d := drains.New()
	in, by := make(chan struct{}), make(chan ctxutil.End, 1)
	cc := serve(t, &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
		close(in)
		<-ss.Context().Done()
		by <- ctxutil.EndedBy(ss.Context())
		return ss.Context().Err()
	}}, interceptors.ServerOptions(interceptors.Drain(d)), interceptors.DialOptions())
	cs, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-in
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := d.Drain(ctx, nil, 10*time.Second); r.Killed != 1 || r.Stuck != 0 {
		t.Errorf("result %+v", r)
	}
	if end := <-by; end != ctxutil.EndShutdown {
		t.Errorf("the handler was ended by %v", end)
	}
	if _, err := cs.Recv(); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "the server is shutting down" {
		t.Errorf("the caller got %v", err)
	}
}

// TestDrainOfUnaryCalls: what a caller gets whose call ended because the server
// was stopped after draining, and whose ended for another reason.
func TestDrainOfUnaryCalls(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		stopped  bool // the server
		canceled bool // the call
		err      error
		want     codes.Code
	}{
		{"cut", true, true, context.Canceled, codes.Unavailable},
		{"canceled by its caller", false, true, context.Canceled, codes.Canceled},
		{"failed before it was cut", true, false, status.Error(codes.NotFound, ""), codes.NotFound},
		{"succeeded all the same", true, true, nil, codes.OK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := drains.New()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := interceptors.Drain(d).UnaryServer()(ctx, nil, nil, func(context.Context, any) (any, error) {
				if tc.stopped {
					over, cancel := context.WithCancel(t.Context())
					cancel()
					if r := d.Drain(over, nil, 0); r.Killed != 1 {
						t.Errorf("result %+v", r)
					}
				}
				if tc.canceled {
					cancel()
				}
				return nil, tc.err
			})
			got := status.Code(err)
			if errors.Is(err, context.Canceled) {
				got = codes.Canceled
			}
			if got != tc.want {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}
