// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// trip makes b open by a call that fails.
func trip(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	for b.State() == resilience.StateClosed {
		lease, err := b.Allow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lease.Done(t.Context(), resilience.OutcomeTransient, 0, 0)
	}
}

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

// TestBreakerStaysClosed holds the breaker against what wedges others: callers who give
// up, and requests at fault.
func TestBreakerStaysClosed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		times int
		step  step
		give  time.Duration // after which the caller gives up
	}{
		{name: "canceled by the caller", times: 6, step: slow(time.Hour), give: time.Millisecond},
		{name: "canceled by the server", times: 6, step: fails(codes.Canceled)},
		{name: "invalid argument", times: 100, step: fails(codes.InvalidArgument)},
		{name: "not found", times: 100, step: fails(codes.NotFound)},
		{name: "server fault", times: 100, step: fails(codes.Internal)},
		{name: "refused by a policy there", times: 100, step: func(context.Context) error { return statusRefusal(9 * time.Second) }},
		{name: "shed by the server", times: 100, step: func(context.Context) error { return statusRefusal(9 * time.Second) }},
		{name: "success", times: 6},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBreaker(breaker.WithMinCalls(1), breaker.WithFailureRatio(0.1))
					s := newScript(slices.Repeat([]step{tc.step}, tc.times)...)
					client := dial(t, s.service(), interceptors.Breaker(b))
					for range tc.times {
						ctx, cancel := context.WithCancel(t.Context())
						if tc.give > 0 {
							time.AfterFunc(tc.give, cancel)
						}
						_ = kind.call(ctx, client)
						cancel()
					}
					if got := b.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 {
						t.Errorf("%v with %d failures", got.State, got.Failures)
					}
					if n := len(s.attempts()); n != tc.times {
						t.Errorf("%d calls reached the server, want %d", n, tc.times)
					}
				})
			})
		}
	}
}

// TestBreakerOpens: what the service is to blame for opens the breaker, and what it asks
// for is for how long.
func TestBreakerOpens(t *testing.T) {
	for _, tc := range []struct {
		name    string
		step    step
		patient time.Duration // the caller's deadline
		openFor time.Duration
	}{
		{name: "unavailable", step: fails(codes.Unavailable), openFor: 5 * time.Second},
		{name: "overload", step: fails(codes.ResourceExhausted), openFor: 5 * time.Second},
		{name: "push-back", step: tells(codes.Unavailable, "grpc-retry-pushback-ms", "7000"), openFor: 7 * time.Second},
		{name: "RetryInfo", step: withRetryInfo(codes.Unavailable, 8*time.Second), openFor: 8 * time.Second},
		{name: "do not retry, and RetryInfo", openFor: 9 * time.Second, step: func(ctx context.Context) error {
			_ = tells(codes.Unavailable, "grpc-retry-pushback-ms", "-1")(ctx)
			return withRetryInfo(codes.Unavailable, 9*time.Second)(ctx)
		}},
		{name: "hangs", step: slow(time.Hour), patient: 2 * time.Second, openFor: 5 * time.Second},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBreaker(breaker.WithMinCalls(1))
					client := dial(t, newScript(tc.step).service(), interceptors.Breaker(b))
					ctx := t.Context()
					if tc.patient > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tc.patient)
						defer cancel()
					}
					if err := kind.call(ctx, client); err == nil {
						t.Error("did not fail")
					}
					if got := b.Snapshot(); got.State != resilience.StateOpen || got.OpenFor != tc.openFor {
						t.Errorf("%v for %v, want open for %v", got.State, got.OpenFor, tc.openFor)
					}
					if err := kind.call(t.Context(), client); !errors.Is(err, gobreaker.ErrOpenState) {
						t.Errorf("the next call ended with %v", err)
					}
				})
			})
		}
	}
}

// statusRefusal is the answer of a server whose policy refused, as Record would send it.
func statusRefusal(after time.Duration) error {
	return must(status.New(codes.Unavailable, "overloaded").WithDetails(
		&errdetails.ErrorInfo{Domain: interceptors.ErrorDomain, Reason: "OVERLOADED"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})).Err()
}

// TestProbes: whatever becomes of a probe, the breaker goes on from there, and its place
// is free.
func TestProbes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		step   step
		inner  func() // of an interceptor below
		give   time.Duration
		policy func() *interceptors.Policing // below the breaker
		want   resilience.State
	}{
		{name: "success", want: resilience.StateClosed},
		{name: "client's fault", step: fails(codes.NotFound), want: resilience.StateClosed},
		{name: "refused by a policy there", step: func(context.Context) error { return statusRefusal(time.Hour) }, want: resilience.StateClosed},
		{name: "failure", step: fails(codes.Unavailable), want: resilience.StateOpen},
		{name: "canceled", step: slow(time.Hour), give: time.Second, want: resilience.StateHalfOpen},
		{name: "panic", inner: func() { panic("below") }, want: resilience.StateHalfOpen},
		{name: "Goexit", inner: runtime.Goexit, want: resilience.StateHalfOpen},
		{name: "refused by the rate limit", policy: func() *interceptors.Policing { return interceptors.RateLimited(spent()) }, want: resilience.StateHalfOpen},
		{name: "refused by the bulkhead", policy: func() *interceptors.Policing { return interceptors.Bulkhead(taken()) }, want: resilience.StateHalfOpen},
	} {
		for _, retried := range []bool{false, true} {
			for _, kind := range callKinds {
				t.Run(fmt.Sprintf("%s/retried %v/%s", tc.name, retried, kind.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBreaker(breaker.WithMinCalls(1), breaker.WithProbes(1), breaker.WithProbeLease(time.Hour))
						places := newBulkhead(1)
						var is []interceptors.ClientInterceptor
						if retried {
							is = append(is, interceptors.Retry(retrier(retry.WithMaxAttempts(2))))
						}
						is = append(is, interceptors.Breaker(b))
						if tc.policy != nil {
							is = append(is, tc.policy())
						}
						is = append(is, interceptors.Bulkhead(places), below(tc.inner))
						client := dial(t, newScript(tc.step).service(), is...)
						trip(t, b)
						time.Sleep(5 * time.Second)

						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						if tc.give > 0 {
							time.AfterFunc(tc.give, cancel)
						}
						var wg sync.WaitGroup
						wg.Go(func() { // Goexit must not end the test
							defer func() { _ = recover() }()
							_ = kind.call(ctx, client)
						})
						wg.Wait()
						synctest.Wait()
						if got := b.Snapshot(); got.State != tc.want || got.Probes != 0 {
							t.Errorf("%v with %d probes, want %v with none", got.State, got.Probes, tc.want)
						}
						if n := places.Snapshot().InFlight; n != 0 {
							t.Errorf("%d places taken", n)
						}
					})
				})
			}
		}
	}
}

// below is an interceptor that does something for each attempt before it is sent.
func below(do func()) interceptors.ClientFuncs {
	if do == nil {
		return interceptors.ClientFuncs{}
	}
	return interceptors.ClientFuncs{
		Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			do()
			return invoke(ctx, method, req, reply, cc, opts...)
		},
		Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			do()
			return open(ctx, desc, cc, method, opts...)
		},
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

// TestStreamsAndTheBreaker: a stream is reported when it is answered, and what becomes of
// it afterwards does not count; one that nobody receives from is given back.
func TestStreamsAndTheBreaker(t *testing.T) {
	for _, retried := range []bool{false, true} {
		t.Run(fmt.Sprintf("retried %v", retried), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(breaker.WithMinCalls(1), breaker.WithProbes(1), breaker.WithProbeLease(time.Hour))
				var is []interceptors.ClientInterceptor
				if retried {
					is = append(is, interceptors.Retry(retrier()))
				}
				client := dial(t, &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
					for {
						if _, err := ss.Recv(); err != nil {
							return status.Error(codes.Unavailable, "late")
						}
						if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
							return err
						}
					}
				}}, append(is, interceptors.Breaker(b))...)
				trip(t, b)
				time.Sleep(5 * time.Second)

				ctx, cancel := context.WithCancel(t.Context())
				unread, err := client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := unread.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := b.Snapshot(); got.State != resilience.StateHalfOpen || got.Probes != 1 {
					t.Errorf("%v with %d probes while nobody has received, want one", got.State, got.Probes)
				}
				cancel()
				synctest.Wait()
				if got := b.Snapshot(); got.State != resilience.StateHalfOpen || got.Probes != 0 {
					t.Errorf("%v with %d probes after the caller left, want none", got.State, got.Probes)
				}

				cs, err := client.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				if _, err := cs.Recv(); err != nil {
					t.Fatal(err)
				}
				if got := b.State(); got != resilience.StateClosed {
					t.Errorf("%v when the stream was answered, want closed", got)
				}
				_ = cs.CloseSend()
				if _, err := cs.Recv(); status.Code(err) != codes.Unavailable {
					t.Fatal(err)
				}
				if got := b.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 {
					t.Errorf("%v with %d failures after a late one", got.State, got.Failures)
				}
			})
		})
	}
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

// TestWaitingIsNoFailure: a deadline that passes while a call waits for its turn is not
// the service's doing, however long it took.
func TestWaitingIsNoFailure(t *testing.T) {
	for _, between := range [][]interceptors.ClientInterceptor{nil, {interceptors.ClientFuncs{}}} { // one layer, or two
		for _, kind := range callKinds {
			t.Run(fmt.Sprintf("%d between/%s", len(between), kind.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, places := newBreaker(breaker.WithMinCalls(1)), newBulkhead(1, bulkhead.WithQueue(1, time.Hour))
					if _, err := places.Allow(t.Context()); err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					is := append([]interceptors.ClientInterceptor{interceptors.Breaker(b)}, between...)
					err := kind.call(ctx, dial(t, &service{}, append(is, interceptors.Bulkhead(places))...))
					if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("ended with %v", err)
					}
					if got := b.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 {
						t.Errorf("%v with %d failures", got.State, got.Failures)
					}
				})
			})
		}
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
