// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// untilDone is a handler that works until its context ends.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestWhoEndedIt: span, metrics and log line of the server say whether the
// caller gave up, the caller's time was over, or a limit of ours was.
func TestWhoEndedIt(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limit   time.Duration // the server's
		timeout time.Duration // the caller's
		cancel  time.Duration // when the caller gives up
		code    string
		outcome string
		level   string
		after   time.Duration
		left    any // of the caller's deadline, in ms
	}{
		{name: "the caller gives up", limit: time.Minute, timeout: time.Hour, cancel: time.Second,
			code: "CANCELLED", outcome: "canceled", level: "INFO", after: time.Second, left: 3599000.0},
		{name: "the caller's deadline", limit: time.Minute, timeout: 5 * time.Second,
			code: "DEADLINE_EXCEEDED", outcome: "caller_deadline", level: "WARN", after: 5 * time.Second, left: 0.0},
		{name: "our limit", limit: time.Minute, timeout: time.Hour,
			code: "DEADLINE_EXCEEDED", outcome: "timeout", level: "WARN", after: time.Minute, left: 3540000.0},
		{name: "our limit, no deadline", limit: time.Minute,
			code: "DEADLINE_EXCEEDED", outcome: "timeout", level: "WARN", after: time.Minute},
	} {
		for _, chain := range serverChains {
			for _, kind := range callKinds {
				t.Run(tc.name+"/"+chain.name+"/"+kind.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tel := newTelemetry(t, sdktrace.AlwaysSample())
						limit := budget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(tc.limit))
						cc := serve(t, &service{handle: untilDone}, chain.options(
							interceptors.Record(tel.recorder), interceptors.Recovery(), interceptors.Deadline(limit)), nil)
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						if tc.timeout > 0 {
							ctx, cancel = context.WithTimeout(ctx, tc.timeout)
							defer cancel()
						}
						if tc.cancel > 0 {
							time.AfterFunc(tc.cancel, cancel)
						}
						err := kind.call(ctx, testgrpc.NewTestServiceClient(cc))
						if err == nil {
							t.Error("no error")
						}
						synctest.Wait()
						tel.noneLeft(t)
						tel.idle(t)
						checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
							"rpc.response.status_code": tc.code, "outcome": tc.outcome, "level": tc.level,
							"duration_ms":      float64(tc.after) / float64(time.Millisecond),
							"deadline_left_ms": tc.left,
						})
					})
				})
			}
		}
	}
}

// TestClientLimit: the client's record says whose deadline it was.
func TestClientLimit(t *testing.T) {
	for _, tc := range []struct {
		name    string
		timeout time.Duration
		outcome string
		after   time.Duration
	}{
		{"ours", time.Hour, "timeout", time.Minute},
		{"the caller's", 5 * time.Second, "caller_deadline", 5*time.Second - 10*time.Millisecond}, // less the reserve
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					// The handler is deaf, so that the client's own clock decides.
					release := make(chan struct{})
					cc := serve(t, &service{handle: func(context.Context) error { <-release; return nil }}, nil,
						interceptors.DialOptions(interceptors.Record(tel.recorder), interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Minute)))))
					ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
					defer cancel()
					if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc)); status.Code(err) != codes.DeadlineExceeded {
						t.Errorf("err = %v, want DeadlineExceeded", err)
					}
					close(release)
					tel.noneLeft(t)
					checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{
						"rpc.response.status_code": "DEADLINE_EXCEEDED", "outcome": tc.outcome,
						"duration_ms": float64(tc.after) / float64(time.Millisecond),
					})
				})
			})
		}
	}
}

// TestSpentBudgetIsRefused: by the client before the call is sent, and by the
// server before it is handled.
func TestSpentBudgetIsRefused(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		for _, kind := range callKinds {
			t.Run(side+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					limit := interceptors.Deadline(budget(t, ctxutil.WithReserve(2*time.Second)))
					var handled atomic.Int32
					var so []grpc.ServerOption
					var do []grpc.DialOption
					if side == "client" {
						do = interceptors.DialOptions(interceptors.Record(tel.recorder), limit)
					} else {
						so = interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(), limit)
					}
					cc := serve(t, &service{
						handle: func(context.Context) error { handled.Add(1); return nil },
						output: func(testgrpc.TestService_StreamingOutputCallServer) error { handled.Add(1); return nil },
					}, so, do)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					err := kind.call(ctx, testgrpc.NewTestServiceClient(cc))
					if st := status.Convert(err); st.Code() != codes.DeadlineExceeded || st.Message() != "deadline budget exhausted" {
						t.Errorf("err = %v, want DeadlineExceeded, deadline budget exhausted", err)
					}
					if side == "client" {
						if !errors.Is(err, ctxutil.ErrBudgetExhausted) || !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("err = %v, want one that is ErrBudgetExhausted and context.DeadlineExceeded", err)
						}
						if spent, ok := errors.AsType[*ctxutil.BudgetError](err); !ok || spent.Left != time.Second {
							t.Errorf("err = %#v, want a BudgetError with 1s left", err)
						}
					}
					if handled.Load() != 0 {
						t.Error("the call was handled")
					}
					tel.noneLeft(t)
					tel.idle(t)
					checkLine(t, tel.logs.withMessage(t, "rpc "+side+" call"), map[string]any{
						"rpc.response.status_code": "DEADLINE_EXCEEDED", "outcome": "rejected", "level": "WARN", "duration_ms": 0.0,
					})
				})
			})
		}
	}
}

// TestDeadlineShrinksHopByHop: over three hops each keeps its reserve, and the
// last one is refused when there is nothing left for it.
func TestDeadlineShrinksHopByHop(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				do := interceptors.DialOptions(interceptors.Record(tel.recorder),
					interceptors.Deadline(budget(t, ctxutil.WithReserve(100*time.Millisecond))))
				so := interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(),
					interceptors.Deadline(budget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Minute))))
				var left []time.Duration
				hop := func(next func(context.Context) error) *service {
					return &service{handle: func(ctx context.Context) error {
						time.Sleep(50 * time.Millisecond)
						r, _ := ctxutil.Remaining(ctx)
						left = append(left, r)
						return next(ctx)
					}}
				}
				call := func(cc *grpc.ClientConn) func(context.Context) error {
					return func(ctx context.Context) error { return kind.call(ctx, testgrpc.NewTestServiceClient(cc)) }
				}
				third := serve(t, hop(func(context.Context) error { return nil }), so, do)
				second := serve(t, hop(call(third)), so, do)
				first := serve(t, hop(call(second)), so, do)

				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if err := call(first)(ctx); err != nil {
					t.Fatal(err)
				}
				want := []time.Duration{1850 * time.Millisecond, 1700 * time.Millisecond, 1550 * time.Millisecond}
				if len(left) != 3 || left[0] != want[0] || left[1] != want[1] || left[2] != want[2] {
					t.Errorf("left at each hop: %v, want %v", left, want)
				}
				tel.noneLeft(t)
			})
		})
	}
}

// TestUnrecordedClientLimitIsNotTheServers: a connection without a record, used
// by a handler, does not tell the handler's record of its limits.
func TestUnrecordedClientLimitIsNotTheServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.AlwaysSample())
		backend := serve(t, &service{handle: untilDone}, nil,
			interceptors.DialOptions(interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Second)))))
		var call *record.Call
		cc := serve(t, &service{handle: func(ctx context.Context) error {
			call = record.FromContext(ctx)
			if err := callUnary(ctx, testgrpc.NewTestServiceClient(backend)); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("err = %v, want DeadlineExceeded", err)
			}
			return nil
		}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
		if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Fatal(err)
		}
		if call.TimedOut() {
			t.Error("the server's call has timed out")
		}
	})
}
