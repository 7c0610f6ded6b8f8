// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestRetryByCode holds every code against what becomes of a call that ends with it.
func TestRetryByCode(t *testing.T) {
	retried := map[codes.Code]bool{codes.Unavailable: true, codes.ResourceExhausted: true, codes.Aborted: true}
	for code := codes.OK; code <= codes.Unauthenticated+1; code++ { // the last is nobody's
		for _, kind := range callKinds {
			t.Run(kind.name+"/"+code.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript(fails(code), fails(code), fails(code), fails(code))
					if code == codes.OK {
						s = newScript()
					}
					err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(retrier())))
					if status.Code(err) != code {
						t.Errorf("ended with %v, want %v", err, code)
					}
					want := []string{""}
					if retried[code] {
						want = []string{"", "1", "2"}
						wantAttempts(t, err, 3, retry.ReasonExhausted)
					} else {
						wantAttempts(t, err, 1, "")
					}
					if got := s.previous(); !slices.Equal(got, want) {
						t.Errorf("the server saw previous attempts %q, want %q", got, want)
					}
				})
			})
		}
	}
}

// TestRetrySucceeds: what fails first, and is as the caller wants it then, is a success
// without a trace of the failure.
func TestRetrySucceeds(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(fails(codes.Unavailable), fails(codes.Unavailable))
				if err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(retrier()))); err != nil {
					t.Errorf("failed: %v", err)
				}
				if got, want := s.previous(), []string{"", "1", "2"}; !slices.Equal(got, want) {
					t.Errorf("previous attempts %q, want %q", got, want)
				}
				if kind.name == "client stream" {
					for i, a := range s.attempts() {
						if a.messages != 2 {
							t.Errorf("attempt %d was sent %d messages, want 2", i+1, a.messages)
						}
					}
				}
			})
		})
	}
}

// TestPushback: what the server says of another attempt is done, whatever way it says it.
func TestPushback(t *testing.T) {
	const ms = "grpc-retry-pushback-ms"
	for _, tc := range []struct {
		name    string
		first   step
		wait    time.Duration
		reason  string // of a call that is not retried
		options []retry.Option
	}{
		{name: "nothing", first: fails(codes.Unavailable)},
		{name: "trailer", first: tells(codes.Unavailable, ms, "1500"), wait: 1500 * time.Millisecond},
		{name: "at once", first: tells(codes.Unavailable, ms, "0")},
		{name: "do not retry", first: tells(codes.Unavailable, ms, "-1"), reason: retry.ReasonPushback},
		{name: "not a number", first: tells(codes.Unavailable, ms, "soon"), reason: retry.ReasonPushback},
		{name: "two values", first: tells(codes.Unavailable, ms, "1", ms, "2"), reason: retry.ReasonPushback},
		{name: "too long", first: tells(codes.Unavailable, ms, "31000"), reason: retry.ReasonPushbackTooLong},
		{name: "too long for this policy", first: tells(codes.Unavailable, ms, "200"), reason: retry.ReasonPushbackTooLong,
			options: []retry.Option{retry.WithMaxPushback(100 * time.Millisecond)}},
		{name: "RetryInfo", first: withRetryInfo(codes.Unavailable, 2*time.Second), wait: 2 * time.Second},
		{name: "a refusal", wait: 3 * time.Second, first: func(context.Context) error {
			return &resilience.RejectedError{Policy: resilience.PolicyShed, Reason: "busy", RetryAfter: 3 * time.Second}
		}},
		{name: "of a failure that is not retried", first: tells(codes.InvalidArgument, ms, "10")},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, neverSample)
					s := newScript(tc.first)
					cc := serve(t, s.service(), interceptors.ServerOptions(interceptors.Record(tel.recorder)),
						interceptors.DialOptions(interceptors.Retry(retrier(tc.options...))))
					err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
					wantAttempts(t, err, 1, tc.reason)
					seen := s.attempts()
					if len(seen) == 1 {
						if tc.reason == "" && status.Code(err) != codes.InvalidArgument {
							t.Fatalf("not retried: %v", err)
						}
						return
					}
					if err != nil || tc.reason != "" {
						t.Fatalf("retried, and ended with %v", err)
					}
					if got := seen[1].at.Sub(seen[0].at); got < tc.wait || got > tc.wait+time.Nanosecond {
						t.Errorf("waited %v, want %v", got, tc.wait)
					}
				})
			})
		}
	}
}

// TestRetryLimits: a call is not retried past its budget, its deadline, or while it is
// being retried further up.
func TestRetryLimits(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []retry.Option
		budget  bool // for one retry
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		want    int
		reason  string
		code    codes.Code
	}{
		{name: "attempts", options: []retry.Option{retry.WithMaxAttempts(5)}, want: 5, reason: retry.ReasonExhausted, code: codes.Unavailable},
		{name: "switched off", options: []retry.Option{retry.WithMaxAttempts(1)}, want: 1, code: codes.Unavailable},
		{name: "budget", budget: true, want: 2, reason: retry.ReasonBudget, code: codes.Unavailable},
		{name: "deadline too near", options: []retry.Option{retry.WithBackoff(time.Nanosecond, time.Nanosecond), retry.WithAttemptEstimate(time.Second)},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
			want: 1, reason: retry.ReasonDeadline, code: codes.Unavailable},
		{name: "nested", ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return retry.WithPreviousAttempts(ctx, 1), func() {}
		}, want: 1, reason: retry.ReasonNested, code: codes.Unavailable},
		{name: "nested, and told to", options: []retry.Option{retry.WithNestedRetries()}, ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return retry.WithPreviousAttempts(ctx, 1), func() {}
		}, want: 3, reason: retry.ReasonExhausted, code: codes.Unavailable},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript(slices.Repeat([]step{fails(codes.Unavailable)}, 9)...)
					ctx := t.Context()
					if tc.ctx != nil {
						var cancel context.CancelFunc
						ctx, cancel = tc.ctx(ctx)
						defer cancel()
					}
					options := tc.options
					if tc.budget {
						options = append(options, retry.WithBudget(onlyOne()))
					}
					err := kind.call(ctx, dial(t, s.service(), interceptors.Retry(retrier(options...))))
					if status.Code(err) != tc.code {
						t.Errorf("ended with %v, want %v", err, tc.code)
					}
					wantAttempts(t, err, tc.want, tc.reason)
					seen := s.previous()
					if len(seen) != tc.want {
						t.Errorf("%d attempts, want %d", len(seen), tc.want)
					}
					for i, got := range seen {
						if want := number(retry.PreviousAttempts(ctx) + i); got != want {
							t.Errorf("attempt %d told of %q previous ones, want %q", i+1, got, want)
						}
					}
				})
			})
		}
	}
}

// number is how previous attempts stand in the metadata.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// onlyOne is a budget for one retry.
func onlyOne() *retry.Budget {
	return must(retry.NewBudget(retry.WithShare(0), retry.WithFloor(1), retry.WithWindow(time.Second)))
}

// TestRetryTakesThePlaceOfStaleNumbers: what somebody forwards of previous attempts is
// replaced, not added to.
func TestRetryTakesThePlaceOfStaleNumbers(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(fails(codes.Unavailable))
				ctx := metadata.AppendToOutgoingContext(t.Context(), "grpc-previous-rpc-attempts", "7", "other", "kept")
				if err := kind.call(ctx, dial(t, s.service(), interceptors.Retry(retrier()))); err != nil {
					t.Fatal(err)
				}
				if got, want := s.previous(), []string{"7", "1"}; !slices.Equal(got, want) {
					t.Errorf("previous attempts %q, want %q", got, want)
				}
			})
		})
	}
}

// TestPerTryTimeout: an attempt that takes too long is given up, is a timeout and not
// the caller's doing, and is retried if the policy says so.
func TestPerTryTimeout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []retry.Option
		want    int
		code    codes.Code
	}{
		{name: "not retried by default", want: 1, code: codes.DeadlineExceeded},
		{name: "retried", options: []retry.Option{retry.WithRetryOn(resilience.OutcomeTimeout)}, want: 3, code: codes.OK},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var outcomes []resilience.Outcome
					observer := resilience.Observer{Attempted: func(_ context.Context, a resilience.Attempt) { outcomes = append(outcomes, a.Outcome) }}
					s := newScript(slow(time.Hour), slow(time.Hour))
					p := retrier(append(tc.options, retry.WithPerTryTimeout(100*time.Millisecond), retry.WithObserver(observer))...)
					start := time.Now()
					err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(p)))
					if status.Code(err) != tc.code {
						t.Errorf("ended with %v, want %v", err, tc.code)
					}
					timeouts := min(tc.want, 2)
					took := time.Since(start)
					if want := time.Duration(timeouts) * 100 * time.Millisecond; took < want || took > want+10*time.Nanosecond {
						t.Errorf("took %v, want %v", took, want)
					}
					if len(s.attempts()) != tc.want || len(outcomes) != tc.want || outcomes[0] != resilience.OutcomeTimeout {
						t.Errorf("%d attempts, outcomes %v; want %d, timeouts first", len(s.attempts()), outcomes, tc.want)
					}
				})
			})
		}
	}
}

// TestServersTimeout: a server that says that time was over, while it was not for us, had
// a limit of its own, which is nobody's cancellation.
func TestServersTimeout(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(fails(codes.DeadlineExceeded))
				p := retrier(retry.WithPerTryTimeout(time.Hour), retry.WithRetryOn(resilience.OutcomeTimeout))
				if err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(p))); err != nil || len(s.attempts()) != 2 {
					t.Errorf("%v after %d attempts, want 2", err, len(s.attempts()))
				}
			})
		})
	}
}

// TestPerTryTimeoutIsForTheFirstMessage: a stream that has begun to answer may take its
// time.
func TestPerTryTimeoutIsForTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
			for range 3 {
				if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
					return err
				}
				time.Sleep(time.Minute)
			}
			return nil
		}}
		p := retrier(retry.WithPerTryTimeout(time.Second))
		start := time.Now()
		if err := callOutput(t.Context(), dial(t, s, interceptors.Retry(p))); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 3*time.Minute {
			t.Errorf("took %v, want 3m", took)
		}
	})
}

// TestAnswerAtTheLimit: an answer that comes when the limit of its attempt has passed is
// one, if it is all that there is to come; a stream that would go on cannot.
func TestAnswerAtTheLimit(t *testing.T) {
	for _, kind := range callKinds[1:] {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := true
				inner := interceptors.ClientFuncs{
					Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
						cs, err := open(ctx, desc, cc, method, opts...)
						return &lingering{ClientStream: cs, ctx: ctx, late: &late}, err
					},
				}
				s := newScript()
				p := retrier(retry.WithPerTryTimeout(time.Second), retry.WithRetryOn(resilience.OutcomeTimeout))
				err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(p), inner))
				want := 2
				if kind.name == "client stream" {
					want = 1
				}
				if err != nil || len(s.attempts()) != want {
					t.Errorf("%v after %d attempts, want %d", err, len(s.attempts()), want)
				}
			})
		})
	}
}

// lingering is a stream whose first message comes when its context has ended.
type lingering struct {
	grpc.ClientStream
	ctx  context.Context
	late *bool
}

func (s *lingering) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil && *s.late {
		*s.late = false
		<-s.ctx.Done()
	}
	return err
}

// TestGivenUpWhileWaiting: a caller who gives up during a backoff gets the end of its
// context, with a status.
func TestGivenUpWhileWaiting(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, cancel)
				s := newScript(tells(codes.Unavailable, "grpc-retry-pushback-ms", "10000"))
				start := time.Now()
				err := kind.call(ctx, dial(t, s.service(), interceptors.Retry(retrier())))
				if got := time.Since(start); got != time.Second {
					t.Errorf("ended after %v, want 1s", got)
				}
				if status.Code(err) != codes.Canceled {
					t.Errorf("code %v of %v, want Canceled", status.Code(err), err)
				}
				wantAttempts(t, err, 1, retry.ReasonEnded)
			})
		})
	}
}

// TestAttemptContextsEnd: what an attempt's time limit holds is given back when the
// attempt is over, also if the caller's context lives on.
func TestAttemptContextsEnd(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts []context.Context
				inner := interceptors.ClientFuncs{
					Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
						attempts = append(attempts, ctx)
						return invoke(ctx, method, req, reply, cc, opts...)
					},
					Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
						attempts = append(attempts, ctx)
						return open(ctx, desc, cc, method, opts...)
					},
				}
				p := retrier(retry.WithPerTryTimeout(time.Hour))
				if err := kind.call(t.Context(), dial(t, newScript(fails(codes.Unavailable)).service(), interceptors.Retry(p), inner)); err != nil {
					t.Fatal(err)
				}
				for i, ctx := range attempts {
					if ctx.Err() == nil {
						t.Errorf("attempt %d of %d lives on", i+1, len(attempts))
					}
				}
			})
		})
	}
}
