// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestRefusals: what a policy refuses was not sent, has the code and the details that
// peers are to see, matches its sentinel, and is recorded as refused; above a retry or
// below it, and of all kinds of calls.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		policy func(t *testing.T) *interceptors.Policing
		code   codes.Code
		is     error
		reason string
		after  time.Duration
	}{
		{"breaker", func(t *testing.T) *interceptors.Policing {
			b := newBreaker()
			trip(t, b)
			return interceptors.Breaker(b)
		}, codes.Unavailable, gobreaker.ErrOpenState, "BREAKER_OPEN", 5 * time.Second},
		{"rate limit", func(t *testing.T) *interceptors.Policing {
			l := oneAMinute()
			if err := l.Allow(t.Context()); err != nil {
				t.Fatal(err)
			}
			return interceptors.RateLimited(l)
		}, codes.ResourceExhausted, resilience.ErrRateLimited, "RATE_LIMITED", time.Minute},
		{"bulkhead", func(t *testing.T) *interceptors.Policing {
			b := newBulkhead(1)
			if _, err := b.Allow(t.Context()); err != nil {
				t.Fatal(err)
			}
			return interceptors.Bulkhead(b)
		}, codes.Unavailable, resilience.ErrOverloaded, "BULKHEAD_FULL", 0},
	} {
		for _, retried := range []bool{false, true} {
			for _, kind := range callKinds {
				t.Run(fmt.Sprintf("%s/retried %v/%s", tc.name, retried, kind.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tel := newTelemetry(t, sdktrace.AlwaysSample())
						is := []interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}
						if retried {
							is = append(is, interceptors.Retry(retrier()))
						}
						is = append(is, tc.policy(t), interceptors.Attempts(tel.recorder))
						s := newScript()
						err := kind.call(t.Context(), dial(t, s.service(), is...))
						checkRefusal(t, err, tc.code, tc.is, tc.reason, tc.after)
						wantAttempts(t, err, 1, "")
						if n := len(s.attempts()); n != 0 {
							t.Errorf("%d calls reached the server", n)
						}
						tel.noneLeft(t)
						tel.idle(t)
						line := tel.logs.withMessage(t, "rpc client call")
						checkLine(t, line, map[string]any{"outcome": "rejected", "attempts": nil})
						if n := len(tel.family(t, "rpc_client_attempt_duration_seconds")); n != 0 {
							t.Errorf("%d series of attempts that were not made", n)
						}
					})
				})
			}
		}
	}
}

func checkRefusal(t *testing.T, err error, code codes.Code, is error, reason string, after time.Duration) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code || !errors.Is(err, is) {
		t.Errorf("error %v of code %v, want %v that is %v", err, st.Code(), code, is)
	}
	if e, ok := errors.AsType[*resilience.RejectedError](err); !ok || e.Remote || e.Name != "inventory" {
		t.Errorf("error %#v, want a refusal of this process by inventory's policy", err)
	}
	var gotReason string
	var gotAfter time.Duration
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			gotReason = d.GetReason()
		case *errdetails.RetryInfo:
			gotAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if gotReason != reason || gotAfter != after {
		t.Errorf("details %q, %v; want %q, %v", gotReason, gotAfter, reason, after)
	}
}

// spent is a limiter without tokens.
func spent() *ratelimit.Limiter {
	l := must(ratelimit.New("inventory", 1e-9, 1))
	_ = l.Allow(context.Background())
	return l
}

// taken is a bulkhead without places.
func taken() *bulkhead.Bulkhead {
	b := newBulkhead(1)
	_, _ = b.Allow(context.Background())
	return b
}

// TestRateLimitWaits: attempts wait for their turn, each for its own.
func TestRateLimitWaits(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(fails(codes.Unavailable), fails(codes.Unavailable))
				client := dial(t, s.service(), interceptors.Retry(retrier()), interceptors.RateLimited(oneAMinute(ratelimit.WithoutMaxWait())))
				start := time.Now()
				if err := kind.call(t.Context(), client); err != nil {
					t.Error(err)
				}
				for i, a := range s.attempts() {
					if got := a.at.Sub(start).Round(time.Second); got != time.Duration(i)*time.Minute {
						t.Errorf("attempt %d after %v, want %d min", i+1, got, i)
					}
				}
				if n := len(s.attempts()); n != 3 {
					t.Errorf("%d attempts, want 3", n)
				}

				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				err := kind.call(ctx, client)
				if status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
					t.Errorf("given up while waiting: %v, want Canceled", err)
				}
			})
		})
	}
}

// TestServiceConfigTimeout: a stream that gRPC itself ends gives everything back, though
// nobody receives and its context lives on.
func TestServiceConfigTimeout(t *testing.T) {
	for _, retried := range []bool{false, true} {
		t.Run(fmt.Sprintf("retried %v", retried), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				places, finished := newBulkhead(1), 0
				var is []interceptors.ClientInterceptor
				if retried {
					is = append(is, interceptors.Retry(retrier()))
				}
				cc := serve(t, &service{}, nil, append(interceptors.DialOptions(append(is, interceptors.Bulkhead(places))...),
					grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "timeout": "1s"}]}`)))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cs, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx, grpc.OnFinish(func(error) { finished++ }))
				if err != nil {
					t.Fatal(err)
				}
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				if _, err := cs.Recv(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if n := places.Snapshot().InFlight; n != 0 || finished != 1 {
					t.Errorf("%d places taken, told %d times that the call is over", n, finished)
				}
			})
		})
	}
}

// TestBulkheadHoldsToTheEnd: a place is taken for as long as a call is under way.
func TestBulkheadHoldsToTheEnd(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				places := newBulkhead(1)
				client := dial(t, newScript(slow(time.Minute)).service(), interceptors.Bulkhead(places))
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := kind.call(t.Context(), client); err != nil {
						t.Error(err)
					}
				})
				time.Sleep(59 * time.Second)
				if err := kind.call(t.Context(), client); !errors.Is(err, resilience.ErrOverloaded) || status.Code(err) != codes.Unavailable {
					t.Errorf("beside another call: %v", err)
				}
				wg.Wait()
				if err := kind.call(t.Context(), client); err != nil {
					t.Errorf("after the other: %v", err)
				}
				if n := places.Snapshot().InFlight; n != 0 {
					t.Errorf("%d places taken", n)
				}
			})
		})
	}
	t.Run("a long stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			places := newBulkhead(1)
			cs, err := dial(t, &service{}, interceptors.Retry(retrier()), interceptors.Bulkhead(places)).FullDuplexCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				if _, err := cs.Recv(); err != nil {
					t.Fatal(err)
				}
				if n := places.Snapshot().InFlight; n != 1 {
					t.Errorf("%d places taken under way, want 1", n)
				}
			}
			_ = cs.CloseSend()
			if _, err := cs.Recv(); err == nil {
				t.Error("no end")
			}
			if n := places.Snapshot().InFlight; n != 0 {
				t.Errorf("%d places taken after the end", n)
			}
		})
	})
}

// TestPoliciesAreShared: unary calls and streams of all methods have one breaker, and a
// method may have retries of its own.
func TestPoliciesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := servicePolicies(
			policies.Retry(retry.WithBackoff(time.Nanosecond, time.Nanosecond)),
			policies.Method("/grpc.testing.TestService/UnaryCall", policies.NoRetry()),
			policies.Breaker(breaker.WithMinCalls(4)))
		s := newScript(slices.Repeat([]step{fails(codes.Unavailable)}, 4)...)
		client := dial(t, s.service(), interceptors.Policies(svc))
		if err := callUnary(t.Context(), client); status.Code(err) != codes.Unavailable || len(s.attempts()) != 1 {
			t.Errorf("unary: %v after %d attempts, want one", err, len(s.attempts()))
		}
		if err := callOutput(t.Context(), client); status.Code(err) != codes.Unavailable || len(s.attempts()) != 4 {
			t.Errorf("stream: %v after %d attempts, want three more", err, len(s.attempts()))
		}
		if got := svc.Breaker().State(); got != resilience.StateOpen {
			t.Errorf("the breaker is %v", got)
		}
		for _, kind := range callKinds {
			if err := kind.call(t.Context(), client); !errors.Is(err, resilience.ErrOpen) {
				t.Errorf("%s: %v, want a refusal", kind.name, err)
			}
		}
	})
}
