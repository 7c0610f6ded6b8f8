// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// TestShedByPriority: what matters is admitted longer, by method and by context.
func TestShedByPriority(t *testing.T) {
	s := newShedder(t, 1, shed.WithPriorities(func(ctx context.Context, method string) shed.Priority {
		if method == "/grpc.testing.TestService/StreamingOutputCall" {
			return shed.PriorityCritical
		}
		return shed.ByMethod(ctx, method)
	}))
	lease, err := s.Allow(t.Context(), shed.PriorityNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	for _, tc := range []struct {
		name   string
		before []interceptors.ServerInterceptor
		call   func(context.Context, *grpc.ClientConn) error
		want   codes.Code
	}{
		{"normal", nil, unaryOn, codes.Unavailable},
		{"health", nil, func(ctx context.Context, cc *grpc.ClientConn) error {
			_, err := healthgrpc.NewHealthClient(cc).Check(ctx, &healthgrpc.HealthCheckRequest{})
			return err
		}, codes.OK},
		{"critical by the rule", nil, func(ctx context.Context, cc *grpc.ClientConn) error {
			return callOutput(ctx, testgrpc.NewTestServiceClient(cc))
		}, codes.OK},
		{"critical by context", []interceptors.ServerInterceptor{prioritized(shed.PriorityCritical)}, unaryOn, codes.OK},
		{"sheddable by context", []interceptors.ServerInterceptor{prioritized(shed.PrioritySheddable)}, unaryOn, codes.Unavailable},
		{"made up", nil, func(ctx context.Context, cc *grpc.ClientConn) error {
			return cc.Invoke(ctx, "/grpc.health.v1.Health/MadeUp", &testgrpc.Empty{}, &testgrpc.Empty{})
		}, codes.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cc := serveHealth(t, interceptors.ServerOptions(append(tc.before, interceptors.Shed(s))...))
			err := tc.call(t.Context(), cc)
			if status.Code(err) != tc.want {
				t.Errorf("err = %v, want %v", err, tc.want)
			}
		})
	}
}

func unaryOn(ctx context.Context, cc *grpc.ClientConn) error {
	return callUnary(ctx, testgrpc.NewTestServiceClient(cc))
}

// TestShedIsToldHowLongCallsTake: of unary calls that say how much work they were, and
// of nothing else.
func TestShedIsToldHowLongCallsTake(t *testing.T) {
	for _, tc := range []struct {
		name  string
		kind  int // of callKinds
		err   error
		took  time.Duration
		shows time.Duration
	}{
		{"well", 0, nil, time.Second, time.Second},
		{"the client's fault", 0, status.Error(codes.NotFound, ""), time.Second, time.Second},
		{"the server's fault", 0, status.Error(codes.Internal, ""), time.Second, 0},
		{"refused further on", 0, &resilience.RejectedError{Policy: resilience.PolicyBreaker}, time.Second, 0},
		{"refused further on, remote", 0, &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Remote: true}, time.Second, 0},
		{"a stream", 3, nil, time.Second, 0},
		{"a client's stream", 1, nil, time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShedder(t, 10, shed.WithWindow(500*time.Millisecond, 1))
				cc := serve(t, &service{handle: func(context.Context) error { time.Sleep(tc.took); return tc.err }},
					interceptors.ServerOptions(interceptors.Shed(s)), nil)
				for range 3 {
					_ = callKinds[tc.kind].call(t.Context(), testgrpc.NewTestServiceClient(cc))
				}
				got := s.Snapshot()
				if got.Latency != tc.shows || got.InFlight != 0 || got.Admitted.Total() != 3 {
					t.Errorf("latency %v, %d in flight, %d admitted; want %v, 0, 3", got.Latency, got.InFlight, got.Admitted.Total(), tc.shows)
				}
			})
		})
	}
}

// TestStreamGivesItsPlaceBack: with the first message it sends, and not with what
// comes before, such as a header.
func TestStreamGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(t, 1)
		steps := make(chan func(testgrpc.TestService_FullDuplexCallServer) error)
		cc := serve(t, &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			for step := range steps {
				if err := step(ss); err != nil {
					return err
				}
			}
			return nil
		}}, interceptors.ServerOptions(interceptors.Shed(s)), nil)
		cs, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		step := func(name string, want int, f func(testgrpc.TestService_FullDuplexCallServer) error) {
			steps <- f
			synctest.Wait()
			if got := s.Snapshot().InFlight; got != want {
				t.Errorf("%d places taken after %s, want %d", got, name, want)
			}
		}
		step("nothing", 1, func(testgrpc.TestService_FullDuplexCallServer) error { return nil })
		step("a header", 1, func(ss testgrpc.TestService_FullDuplexCallServer) error { return ss.SendHeader(nil) })
		send := func(ss testgrpc.TestService_FullDuplexCallServer) error {
			return ss.Send(&testgrpc.StreamingOutputCallResponse{})
		}
		step("a message", 0, send)
		lease, err := s.Allow(t.Context(), shed.PriorityNormal)
		if err != nil {
			t.Fatal(err)
		}
		step("another message", 1, send) // that is somebody else's
		lease.Release()
		close(steps)
		if err := drain(cs); err != nil {
			t.Error(err)
		}
		if got := s.Snapshot().InFlight; got != 0 {
			t.Errorf("%d places taken at the end, want none", got)
		}
	})
}

// TestMessagesGetThrough: what wraps a stream changes nothing about it.
func TestMessagesGetThrough(t *testing.T) {
	s := newShedder(t, 10)
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Shed(s)), nil)
	for _, kind := range callKinds {
		if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Errorf("%s: %v", kind.name, err)
		}
	}
}
