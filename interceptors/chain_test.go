// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// trail is what marks saw, in order.
type trail []string

// enter notes that mark name was entered, and what is in the context there:
// r a record, d a deadline.
func (tr *trail) enter(name string, ctx context.Context) {
	has := ""
	if record.FromContext(ctx) != nil {
		has += "r"
	}
	if _, ok := ctx.Deadline(); ok {
		has += "d"
	}
	*tr = append(*tr, name+"("+has+")")
}

// leave is deferred; it notes how mark name was left.
func (tr *trail) leave(name string, err *error, returned *bool) {
	how := status.Code(*err).String()
	if !*returned {
		how = "panic"
	}
	*tr = append(*tr, name+":"+how)
}

// mark is an interceptor that leaves a trail.
func (tr *trail) mark(name string) interceptors.ServerFuncs {
	return interceptors.ServerFuncs{
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
			returned := false
			tr.enter(name, ctx)
			defer tr.leave(name, &err, &returned)
			resp, err = next(ctx, req)
			returned = true
			return resp, err
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			returned := false
			tr.enter(name, ss.Context())
			defer tr.leave(name, &err, &returned)
			err = next(srv, &middleware.WrappedServerStream{ServerStream: ss, WrappedContext: ss.Context()})
			returned = true
			return err
		},
	}
}

func (tr *trail) markClient(name string) interceptors.ClientFuncs {
	return interceptors.ClientFuncs{
		Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) (err error) {
			returned := true
			tr.enter(name, ctx)
			defer tr.leave(name, &err, &returned)
			return invoke(ctx, method, req, reply, cc, opts...)
		},
		Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (_ grpc.ClientStream, err error) {
			returned := true
			tr.enter(name, ctx)
			defer tr.leave(name, &err, &returned)
			return open(ctx, desc, cc, method, opts...)
		},
	}
}

// TestServerChainOrder pins what is inside of what: the record outside, so that
// everything is in it; recovery next, so that it ends panics of everything else;
// then the deadline, so that what comes after it has one.
func TestServerChainOrder(t *testing.T) {
	for _, tc := range []struct {
		chain string // r record, c recovery, d deadline, 1 2 3 4 marks
		event string
		want  string
	}{
		{"1r2c3d4", "ok", "1() 2(r) 3(r) 4(rd) handler 4:OK 3:OK 2:OK 1:OK"},
		{"1r2c3d4", "error", "1() 2(r) 3(r) 4(rd) handler 4:Unknown 3:Unknown 2:Unknown 1:Unknown"},
		{"1r2c3d4", "panic", "1() 2(r) 3(r) 4(rd) handler 4:panic 3:panic 2:Internal 1:Internal"},
		{"1r2c3d4", "spent", "1(d) 2(rd) 3(rd) 3:DeadlineExceeded 2:DeadlineExceeded 1:DeadlineExceeded"},
		{"rcd4", "ok", "4(rd) handler 4:OK"},
		{"rcd4", "panic", "4(rd) handler 4:panic"},
		{"rcd4", "spent", ""},
		{"rc4", "panic", "4(r) handler 4:panic"},
		{"1rcd4", "panic", "1() 4(rd) handler 4:panic 1:Internal"},
		{"1rcd4", "spent", "1(d) 1:DeadlineExceeded"},
		{"rd4", "ok", "4(rd) handler 4:OK"},
		{"4rcd", "error", "4() handler 4:Unknown"},
		{"1c2r3", "panic", "1() 2() 3(r) handler 3:panic 2:panic 1:Internal"},
		{"d1", "ok", "1(d) handler 1:OK"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.chain+"/"+tc.event+"/"+kind.name, func(t *testing.T) {
				var tr trail
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				var chain []interceptors.ServerInterceptor
				for _, c := range tc.chain {
					chain = append(chain, map[rune]interceptors.ServerInterceptor{
						'r': interceptors.Record(tel.recorder),
						'c': interceptors.Recovery(interceptors.WithPanicLogger(slog.New(slog.DiscardHandler))),
						'd': interceptors.Deadline(budget(t, ctxutil.WithReserve(time.Minute), ctxutil.WithMaxTimeout(time.Hour))),
						'1': tr.mark("1"), '2': tr.mark("2"), '3': tr.mark("3"), '4': tr.mark("4"),
					}[c])
				}
				server := &service{handle: func(context.Context) error {
					tr = append(tr, "handler")
					switch tc.event {
					case "error":
						return errors.New("broken")
					case "panic":
						panic("broken")
					}
					return nil
				}}
				ctx := t.Context()
				if tc.event == "spent" {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
					defer cancel()
				}
				cc := serve(t, server, interceptors.ServerOptions(chain...), nil)
				_ = kind.call(ctx, testgrpc.NewTestServiceClient(cc))
				if got := strings.Join(tr, " "); got != tc.want {
					t.Errorf("order:\n got %s\nwant %s", got, tc.want)
				}
				tel.noneLeft(t)
			})
		}
	}
}

// TestClientChainOrder: the record outside, so that a refusal is in it; the
// deadline next, so that what comes after it has one.
func TestClientChainOrder(t *testing.T) {
	for _, tc := range []struct{ chain, event, want string }{
		{"1r2d3", "ok", "1() 2(r) 3(rd) 3:OK 2:OK 1:OK"},
		{"1r2d3", "spent", "1(d) 2(rd) 2:DeadlineExceeded 1:DeadlineExceeded"},
		{"rd3", "ok", "3(rd) 3:OK"},
		{"d1", "ok", "1(d) 1:OK"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.chain+"/"+tc.event+"/"+kind.name, func(t *testing.T) {
				var tr trail
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				var chain []interceptors.ClientInterceptor
				for _, c := range tc.chain {
					chain = append(chain, map[rune]interceptors.ClientInterceptor{
						'r': interceptors.Record(tel.recorder),
						'd': interceptors.Deadline(budget(t, ctxutil.WithReserve(time.Minute), ctxutil.WithMaxTimeout(time.Hour))),
						'1': tr.markClient("1"), '2': tr.markClient("2"), '3': tr.markClient("3"),
					}[c])
				}
				ctx := t.Context()
				if tc.event == "spent" {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
					defer cancel()
				}
				cc := serve(t, &service{}, nil, interceptors.DialOptions(chain...))
				_ = kind.call(ctx, testgrpc.NewTestServiceClient(cc))
				if got := strings.Join(tr, " "); got != tc.want {
					t.Errorf("order:\n got %s\nwant %s", got, tc.want)
				}
				tel.noneLeft(t)
			})
		}
	}
}

// TestHalfInterceptors: one without a function for a kind of call leaves that
// kind alone.
func TestHalfInterceptors(t *testing.T) {
	var served, made trail
	unary, stream := served.mark("unary"), served.mark("stream")
	unary.Stream, stream.Unary = nil, nil
	unaryClient, streamClient := made.markClient("unary"), made.markClient("stream")
	unaryClient.Stream, streamClient.Unary = nil, nil
	cc := serve(t, &service{}, interceptors.ServerOptions(unary, stream), interceptors.DialOptions(unaryClient, streamClient))
	for _, kind := range callKinds[:2] {
		if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Fatal(err)
		}
	}
	want := trail{"unary()", "unary:OK", "stream()", "stream:OK"}
	if !slices.Equal(served, want) || !slices.Equal(made, want) {
		t.Errorf("order:\n got %v served, %v made\nwant %v", served, made, want)
	}
}
