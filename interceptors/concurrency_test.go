// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

func newConcurrency(t testing.TB, n int, opts ...ratelimit.ConcurrencyOption) *ratelimit.Concurrency {
	t.Helper()
	l, err := ratelimit.NewConcurrency("db-of-inventory", n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// endings is how a handler can end, and what its caller sees of that.
var endings = []struct {
	name string
	end  func() error
}{
	{"well", func() error { return nil }},
	{"with an error", func() error { return status.Error(codes.NotFound, "no such sku") }},
	{"with a panic", func() error { panic("x") }},
	{"with its goroutine", func() error { runtime.Goexit(); return nil }},
}

// slots are places that a policy has, and how many are taken.
type slots struct {
	policy  interceptors.ServerInterceptor
	taken   func() int
	refusal string // of what is too much
}

// places returns policies with one place each: concurrency, both, shed.
func places(t *testing.T) []slots {
	t.Helper()
	c, both := newConcurrency(t, 1), newConcurrency(t, 1)
	s := newShedder(t, 1)
	return []slots{
		{interceptors.Concurrency(c), func() int { return c.Snapshot().InFlight },
			`ResourceExhausted "too many calls at once" fairlead/CONCURRENCY_LIMITED map[policy:concurrency reason:too many calls at once] after 100ms grpc-retry-pushback-ms ["100"]`},
		{interceptors.Concurrency(ratelimit.NewBoth(newLimiter(t, 1000, 1000), both)), func() int { return both.Snapshot().InFlight },
			`ResourceExhausted "too many calls at once" fairlead/CONCURRENCY_LIMITED map[policy:concurrency reason:too many calls at once] after 100ms grpc-retry-pushback-ms ["100"]`},
		{interceptors.Shed(s), func() int { return s.Snapshot().InFlight },
			`Unavailable "overloaded" fairlead/OVERLOADED map[policy:shed reason:overloaded]`},
	}
}

func newShedder(t testing.TB, n int, opts ...shed.Option) *shed.Shedder {
	t.Helper()
	s, err := shed.New("db-of-inventory", shed.WithMinLimit(n), shed.WithInitialLimit(n), shed.WithMaxLimit(n),
		shed.WithoutCPU(), shed.WithRetryAfter(0), shed.Options(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPlaceIsFreeAgain: however a handler ends, and one call is refused meanwhile.
func TestPlaceIsFreeAgain(t *testing.T) {
	for i, name := range []string{"concurrency", "both", "shed"} {
		for _, ending := range endings {
			for _, kind := range callKinds {
				t.Run(name+"/"+ending.name+"/"+kind.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := places(t)[i]
						release := make(chan struct{})
						handle := func() error { <-release; return ending.end() }
						tel := newTelemetry(t, sdktrace.AlwaysSample())
						cc := serve(t, &service{
							handle: func(context.Context) error { return handle() },
							output: func(testgrpc.TestService_StreamingOutputCallServer) error { return handle() },
							duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return handle() },
						}, interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(), p.policy), nil)
						client := testgrpc.NewTestServiceClient(cc)
						ctx, cancel := context.WithCancel(t.Context())
						go func() { _ = kind.call(ctx, client) }()
						synctest.Wait()
						if p.taken() != 1 {
							t.Fatalf("%d places taken, want 1", p.taken())
						}
						var trailer metadata.MD
						if got := wire(kind.call(t.Context(), client, grpc.Trailer(&trailer)), trailer); got != p.refusal {
							t.Errorf("the peer got  %s\nwant          %s", got, p.refusal)
						}
						if p.taken() != 1 {
							t.Errorf("%d places taken after a refusal, want 1", p.taken())
						}
						close(release)
						synctest.Wait()
						if p.taken() != 0 {
							t.Errorf("%d places taken when the handler has ended, want none", p.taken())
						}
						cancel() // nobody answers for a goroutine that ended
						synctest.Wait()
						checkRejected(t, tel, map[bool]string{true: "UNAVAILABLE", false: "RESOURCE_EXHAUSTED"}[name == "shed"])
					})
				})
			}
		}
	}
}

// TestWaitForASlot: who waits in the queue is admitted in its turn, and the end of
// its time is no refusal and tells nothing of what is inside.
func TestWaitForASlot(t *testing.T) {
	for _, chain := range []string{"recorded", "alone", "by hand"} {
		for _, tc := range []struct {
			name    string
			timeout time.Duration // of the one who waits
			cancel  time.Duration
			want    string // on the server
			outcome string
		}{
			{"in time", time.Hour, 0, `OK ""`, "ok"},
			{"deadline", time.Second, 0, `DeadlineExceeded "context deadline exceeded"`, "caller_deadline"},
			{"gives up", time.Hour, time.Second, `Canceled "context canceled"`, "canceled"},
			{"too long", time.Hour, 0, `ResourceExhausted "too many calls at once" fairlead/CONCURRENCY_LIMITED map[policy:concurrency reason:no slot in time] after 100ms`, "rejected"},
		} {
			t.Run(chain+"/"+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wait := 10 * time.Second
					if tc.name == "too long" {
						wait = time.Second
					}
					l := newConcurrency(t, 1, ratelimit.WithQueue(1, wait))
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					var mu sync.Mutex
					var answers []error
					spy := interceptors.ServerFuncs{Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
						resp, err := next(ctx, req)
						mu.Lock()
						defer mu.Unlock()
						answers = append(answers, err)
						return resp, err
					}}
					so := append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(spy.Unary)}, admission(tel, interceptors.Concurrency(l))[chain]...)
					cc := serve(t, &service{handle: func(context.Context) error { time.Sleep(5 * time.Second); return nil }}, so, nil)
					client := testgrpc.NewTestServiceClient(cc)
					go func() { _ = callUnary(t.Context(), client) }()
					synctest.Wait()
					ctx, cancel := context.WithTimeout(t.Context(), tc.timeout)
					defer cancel()
					if tc.cancel > 0 {
						time.AfterFunc(tc.cancel, cancel)
					}
					_ = callUnary(ctx, client)
					time.Sleep(time.Minute)
					mu.Lock()
					defer mu.Unlock()
					if len(answers) != 2 {
						t.Fatalf("answers: %v, want two", answers)
					}
					waited := answers[0]
					if tc.name == "in time" {
						waited = answers[1]
					}
					got := wire(waited, nil)
					if chain != "recorded" && tc.name == "deadline" { // only a record knows that it was not the caller who canceled
						got = strings.Replace(got, `Canceled "context canceled"`, tc.want, 1)
					}
					if got != tc.want {
						t.Errorf("the answer is  %s\nwant           %s", got, tc.want)
					}
					if u := l.Snapshot(); u.InFlight != 0 || u.Queued != 0 {
						t.Errorf("left: %+v", u)
					}
					if chain != "recorded" {
						return
					}
					outcomes := map[any]int{}
					for _, line := range tel.logs.all(t) {
						outcomes[line["outcome"]]++
					}
					want := map[any]int{nil: 1, tc.outcome: 1}
					if tc.outcome == "ok" {
						want = map[any]int{nil: 2}
					}
					if len(outcomes) != len(want) || outcomes[tc.outcome] != want[tc.outcome] {
						t.Errorf("outcomes %v, want %v", outcomes, want)
					}
				})
			})
		}
	}
}

// TestEndOfAWaitIsTheContexts: interceptors around it find whose doing it was.
func TestEndOfAWaitIsTheContexts(t *testing.T) {
	l := newConcurrency(t, 1, ratelimit.WithQueue(1, time.Hour))
	permit, err := l.Allow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer permit.Done()
	cause := errors.New("the lights went out")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err = interceptors.Concurrency(l).UnaryServer()(ctx, nil, &grpc.UnaryServerInfo{}, nil)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || status.Code(err) != codes.Canceled {
		t.Errorf("err = %v, want Canceled because of %v", err, cause)
	}
}

// TestBoth: the error is that of the limiter that refused.
func TestBoth(t *testing.T) {
	slots := newConcurrency(t, 1)
	cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Concurrency(ratelimit.NewBoth(newLimiter(t, 0.001, 1), slots))), nil)
	client := testgrpc.NewTestServiceClient(cc)
	if err := callUnary(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	st := status.Convert(callUnary(t.Context(), client))
	if st.Message() != "rate limited" || slots.Snapshot().InFlight != 0 {
		t.Errorf("got %v, and %+v; want a refusal by the rate, and no slot taken", st, slots.Snapshot())
	}
}

// TestRecordOfAnUnlimitedCall: a policy that admits leaves no trace.
func TestRecordOfAnUnlimitedCall(t *testing.T) {
	for _, p := range places(t) {
		tel := newTelemetry(t, sdktrace.AlwaysSample())
		cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Record(tel.recorder), p.policy), nil)
		var trailer metadata.MD
		if got := wire(callUnary(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer)), trailer); got != `OK ""` {
			t.Errorf("%T: the peer got %s", p.policy, got)
		}
		checkLine(t, tel.logs.withMessage(t, record.MessageRPCServer), map[string]any{"rpc.response.status_code": "OK", "outcome": nil})
	}
}
