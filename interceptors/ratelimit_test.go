// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func newLimiter(t testing.TB, limit rate.Limit, burst int, opts ...ratelimit.LimiterOption) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New("db-of-inventory", limit, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// limiterFunc is a limiter of somebody's.
type limiterFunc func(context.Context) error

func (f limiterFunc) Allow(ctx context.Context) error { return f(ctx) }

type keyedFunc func(context.Context, ratelimit.Key) error

func (f keyedFunc) Allow(ctx context.Context, key ratelimit.Key) error { return f(ctx, key) }

// prioritized gives calls that come in a priority, as an interceptor that knows its
// clients may.
func prioritized(p shed.Priority) interceptors.ServerFuncs {
	return interceptors.ServerFuncs{Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(shed.ContextWithPriority(ctx, p), req)
	}}
}

// counted counts how often a service is called.
func counted(n *atomic.Int32) *service {
	return &service{
		handle: func(context.Context) error { n.Add(1); return nil },
		output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
			n.Add(1)
			return ss.Send(&testgrpc.StreamingOutputCallResponse{})
		},
	}
}

// TestRateLimit: a token a call, of whatever kind, and the peer is told when there is
// another one.
func TestRateLimit(t *testing.T) {
	const want = `ResourceExhausted "rate limited" fairlead/RATE_LIMITED map[policy:rate_limit reason:rate limited] after 500ms grpc-retry-pushback-ms ["500"]`
	for _, kind := range callKinds {
		for _, chain := range []string{"recorded", "alone", "by hand"} {
			t.Run(kind.name+"/"+chain, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var told []resilience.RejectedError
					l := newLimiter(t, 2, 1, ratelimit.WithObserver(resilience.Observer{
						Rejected: func(_ context.Context, e *resilience.RejectedError) { told = append(told, *e) },
					}))
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					var handled atomic.Int32
					cc := serve(t, counted(&handled), admission(tel, interceptors.RateLimit(l))[chain], nil)
					client := testgrpc.NewTestServiceClient(cc)
					if err := kind.call(t.Context(), client); err != nil {
						t.Fatal(err)
					}
					var trailer metadata.MD
					err := kind.call(t.Context(), client, grpc.Trailer(&trailer))
					if got := wire(err, trailer); got != want {
						t.Errorf("the peer got  %s\nwant          %s", got, want)
					}
					time.Sleep(500 * time.Millisecond)
					if err := kind.call(t.Context(), client); err != nil {
						t.Errorf("after the time it was told: %v", err)
					}
					if handled.Load() != 2 {
						t.Errorf("%d calls handled, want 2", handled.Load())
					}
					if len(told) != 1 || told[0].Name != "db-of-inventory" {
						t.Errorf("the observer was told %v, want one refusal", told)
					}
					if chain == "recorded" {
						checkRejected(t, tel, "RESOURCE_EXHAUSTED")
					}
				})
			})
		}
	}
}

// checkRejected wants the record of one call of several to say that it was refused.
func checkRejected(t *testing.T, tel *telemetry, code string) {
	t.Helper()
	tel.noneLeft(t)
	tel.idle(t)
	n := 0
	for _, line := range tel.logs.all(t) {
		if line["outcome"] == "rejected" {
			n++
			checkLine(t, line, map[string]any{"msg": record.MessageRPCServer, "rpc.response.status_code": code, "level": "WARN"})
		}
	}
	if n != 1 {
		t.Errorf("%d lines of rejected calls, want 1: %v", n, tel.logs.all(t))
	}
}

// TestHealthIsNotLimited: by default, by the user's rule, and by what an interceptor
// before it says; but no method that a peer makes up is.
func TestHealthIsNotLimited(t *testing.T) {
	refusing := limiterFunc(func(context.Context) error { return &resilience.RejectedError{Policy: resilience.PolicyRateLimit} })
	allButHealth := interceptors.WithPriorities(func(_ context.Context, method string) shed.Priority {
		if method == "/grpc.testing.TestService/UnaryCall" {
			return shed.PriorityHealth
		}
		return shed.PriorityCritical
	})
	for _, tc := range []struct {
		name     string
		limit    interceptors.ServerInterceptor
		before   interceptors.ServerInterceptor
		admitted []string // of check, watch, unary, unknown
	}{
		{"by default", interceptors.RateLimit(refusing), nil, []string{"check", "watch"}},
		{"by nil", interceptors.RateLimit(refusing, interceptors.WithPriorities(nil)), nil, []string{"check", "watch"}},
		{"by a rule", interceptors.RateLimit(refusing, allButHealth), nil, []string{"unary"}},
		{"by context", interceptors.RateLimit(refusing), prioritized(shed.PriorityHealth), []string{"check", "watch", "unary"}},
		{"not by context", interceptors.RateLimit(refusing), prioritized(shed.PriorityCritical), []string{"watch"}}, // of unary calls only
		{"keyed", interceptors.KeyedRateLimit(keyedFunc(func(ctx context.Context, _ ratelimit.Key) error { return refusing(ctx) }), nil), nil, []string{"check", "watch"}},
		{"concurrency", interceptors.Concurrency(noSlots{}), nil, []string{"check", "watch"}},
		{"concurrency by a rule", interceptors.Concurrency(noSlots{}, allButHealth), nil, []string{"unary"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			chain := []interceptors.ServerInterceptor{tc.limit}
			if tc.before != nil {
				chain = []interceptors.ServerInterceptor{tc.before, tc.limit}
			}
			cc := serveHealth(t, interceptors.ServerOptions(chain...))
			health := healthgrpc.NewHealthClient(cc)
			_, check := health.Check(t.Context(), &healthgrpc.HealthCheckRequest{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, watch := health.Watch(ctx, &healthgrpc.HealthCheckRequest{})
			if watch == nil {
				_, watch = stream.Recv()
			}
			unary := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
			unknown := cc.Invoke(t.Context(), "/grpc.health.v1.Health/MadeUp", &testgrpc.Empty{}, &testgrpc.Empty{})
			var admitted []string
			for name, err := range map[string]error{"check": check, "watch": watch, "unary": unary, "unknown": unknown} {
				if code := status.Code(err); code == codes.OK || code == codes.Unimplemented {
					admitted = append(admitted, name)
				} else if code != codes.ResourceExhausted && code != codes.Unavailable {
					t.Errorf("%s: %v", name, err)
				}
			}
			if diff := cmp.Diff(sorted(tc.admitted), sorted(admitted)); diff != "" {
				t.Errorf("admitted (-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeyedRateLimit: a bucket for each key.
func TestKeyedRateLimit(t *testing.T) {
	l, err := ratelimit.NewKeyed("clients", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	byTenant := func(ctx context.Context, method string) ratelimit.Key {
		tenant := ""
		if v := metadata.ValueFromIncomingContext(ctx, "x-tenant"); len(v) > 0 {
			tenant = v[0]
		}
		return ratelimit.Key{Client: tenant, Method: method}
	}
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.KeyedRateLimit(l, byTenant)), nil)
	client := testgrpc.NewTestServiceClient(cc)
	for i, tc := range []struct {
		tenant string
		call   func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption) error
		want   codes.Code
	}{
		{"acme", callUnary, codes.OK},
		{"acme", callUnary, codes.ResourceExhausted},
		{"acme", callDuplex, codes.OK},
		{"acme", callDuplex, codes.ResourceExhausted},
		{"bolt", callUnary, codes.OK},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", tc.tenant)
		if err := tc.call(ctx, client); status.Code(err) != tc.want {
			t.Errorf("call %d: %v, want %v", i, err, tc.want)
		}
	}
}

// TestKeysAreBounded: methods that peers make up are one key.
func TestKeysAreBounded(t *testing.T) {
	seen := map[ratelimit.Key]int{}
	l := keyedFunc(func(_ context.Context, key ratelimit.Key) error { seen[key]++; return nil })
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.KeyedRateLimit(l, nil)), nil)
	for i := range 5 {
		_ = cc.Invoke(t.Context(), fmt.Sprintf("/made.Up/Method%d", i), &testgrpc.Empty{}, &testgrpc.Empty{})
	}
	for _, kind := range callKinds {
		if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[ratelimit.Key]int{{Client: "local", Method: "_OTHER"}: 5}
	for _, kind := range callKinds {
		want[ratelimit.Key{Client: "local", Method: "/" + kind.method}] = 1
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestLimiterOfSomebodys: every error refuses, and of its text the peer learns nothing.
func TestLimiterOfSomebodys(t *testing.T) {
	const text = "no quota in redis at 10.0.0.7"
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"an error", errors.New(text), `ResourceExhausted "rate limited" fairlead/RATE_LIMITED map[policy:rate_limit]`},
		{"a refusal in an error", fmt.Errorf("%s: %w", text, &resilience.RejectedError{Policy: resilience.PolicyShed, Err: errors.New(text)}),
			`Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed]`},
		{"a status", status.Error(codes.PermissionDenied, text), `ResourceExhausted "rate limited" fairlead/RATE_LIMITED map[policy:rate_limit]`},
		{"a context's, while ours is alive", context.DeadlineExceeded, `ResourceExhausted "rate limited" fairlead/RATE_LIMITED map[policy:rate_limit]`},
	} {
		for _, chain := range []string{"recorded", "alone", "by hand"} {
			t.Run(tc.name+"/"+chain, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				limit := interceptors.RateLimit(limiterFunc(func(context.Context) error { return tc.err }))
				cc := serve(t, &service{}, admission(tel, limit)[chain], nil)
				var trailer metadata.MD
				if got := wire(callUnary(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer)), trailer); got != tc.want {
					t.Errorf("the peer got  %s\nwant          %s", got, tc.want)
				}
				if chain == "recorded" {
					code := map[bool]string{true: "UNAVAILABLE", false: "RESOURCE_EXHAUSTED"}[tc.name == "a refusal in an error"]
					checkRejected(t, tel, code)
				}
			})
		}
	}
}

// TestRefusalIsTheLimitersError: interceptors around it find what the limiter said.
func TestRefusalIsTheLimitersError(t *testing.T) {
	cause := errors.New("no quota")
	limit := interceptors.RateLimit(limiterFunc(func(context.Context) error { return cause })).UnaryServer()
	_, err := limit(t.Context(), nil, &grpc.UnaryServerInfo{}, nil)
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok || e.Remote || !errors.Is(err, cause) || !errors.Is(err, resilience.ErrRateLimited) {
		t.Errorf("err = %#v, want a refusal because of %v", err, cause)
	}
}

func TestNilAdmission(t *testing.T) {
	for want, f := range map[string]func(){
		"interceptors: RateLimit: nil limiter":      func() { interceptors.RateLimit(nil) },
		"interceptors: KeyedRateLimit: nil limiter": func() { interceptors.KeyedRateLimit(nil, nil) },
		"interceptors: Concurrency: nil limiter":    func() { interceptors.Concurrency(nil) },
		"interceptors: Shed: nil shedder":           func() { interceptors.Shed(nil) },
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			f()
		})
	}
}
