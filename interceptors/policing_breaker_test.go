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
