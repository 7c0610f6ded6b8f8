// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
)

// far is a server behind a breaker, as its client sees it.
type far struct {
	breaker *breaker.Breaker
	call    step
	// serve is what the server does with a request, and inside what happens in the
	// client between the breaker and the wire.
	serve, inside atomic.Pointer[step]
}

func (f *far) serves(do step)  { f.serve.Store(&do) }
func (f *far) insides(do step) { f.inside.Store(&do) }

// answer is an answer of a server: the same thing to gRPC and to HTTP.
type answer struct {
	code   codes.Code
	status int
}

func (e *answer) Error() string { return e.code.String() }

// GRPCStatus is what a gRPC server answers.
func (e *answer) GRPCStatus() *status.Status { return status.New(e.code, "as the test wants it") }

func fine(context.Context) error { return nil }

var (
	unavailable = &answer{codes.Unavailable, http.StatusServiceUnavailable}
	invalid     = &answer{codes.InvalidArgument, http.StatusBadRequest}
	canceled    = &answer{codes.Canceled, httpmw.StatusClientClosedRequest}
)

// answers is what a server does that answers everything alike.
func answers(e error) step { return func(context.Context) error { return e } }

// wires are the ways to a server behind a breaker.
var wires = []struct {
	name    string
	connect func(t *testing.T, at place, f *far)
}{
	{"gRPC unary", func(t *testing.T, at place, f *far) { behindGRPC(t, at, f, unary) }},
	{"gRPC stream", func(t *testing.T, at place, f *far) { behindGRPC(t, at, f, stream) }},
	{"HTTP", behindHTTP},
}

func behindGRPC(t *testing.T, at place, f *far, call func(context.Context, testgrpc.TestServiceClient) error) {
	serveGRPC(t, at, &service{next: func(ctx context.Context) error { return (*f.serve.Load())(ctx) }})
	stub := testgrpc.NewTestServiceClient(dialGRPC(t, at, "far", interceptors.Breaker(f.breaker), interceptors.ClientFuncs{
		Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if err := (*f.inside.Load())(ctx); err != nil {
				return err
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		},
		Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			if err := (*f.inside.Load())(ctx); err != nil {
				return nil, err
			}
			return open(ctx, desc, cc, method, opts...)
		},
	}))
	f.call = func(ctx context.Context) error { return call(ctx, stub) }
}

func behindHTTP(t *testing.T, at place, f *far) {
	serveHTTP(t, at, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := (*f.serve.Load())(r.Context())
		if e, ok := errors.AsType[*answer](err); ok {
			w.WriteHeader(e.status)
		}
	}))
	c := dialHTTP(t, at, "far", httpmw.BreakerTransport(f.breaker), func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := (*f.inside.Load())(r.Context()); err != nil {
				return nil, err
			}
			return next.RoundTrip(r)
		})
	})
	f.call = func(ctx context.Context) error { return get(ctx, c, "http://far/") }
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const openTime = 5 * time.Second

// nervous returns a breaker that a single failure trips and a single probe closes, so
// that whatever it takes for one or the other shows at once.
func nervous(t *testing.T, opts ...breaker.Option) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New("far", breaker.WithMinCalls(1), breaker.WithFailureRatio(0.001), breaker.WithProbes(1),
		breaker.WithOpenTime(openTime), breaker.WithJitter(0), breaker.Options(opts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newFar(t *testing.T, where func(*testing.T) place, connect func(*testing.T, place, *far), opts []breaker.Option) *far {
	t.Helper()
	f := &far{breaker: nervous(t, opts...)}
	f.serves(fine)
	f.insides(fine)
	connect(t, where(t), f)
	return f
}

// overWires runs a test over every wire, with a server that is well.
func overWires(t *testing.T, test func(t *testing.T, f *far), opts ...breaker.Option) {
	t.Helper()
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			test(t, newFar(t, onLoopback, w.connect, opts))
		})
	}
}

// inBubble is overWires in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, f *far), opts ...breaker.Option) {
	t.Helper()
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, newFar(t, inMemory, w.connect, opts)) })
		})
	}
}

func wantState(t *testing.T, b *breaker.Breaker, want resilience.State) {
	t.Helper()
	if s := b.Snapshot(); s.State != want {
		t.Fatalf("the breaker is %v after %d successes and %d failures, want %v", s.State, s.Successes, s.Failures, want)
	}
}

// trip makes the server fail once, and be well again.
func (f *far) trip(t *testing.T) {
	t.Helper()
	f.serves(answers(unavailable))
	if err := f.call(t.Context()); err == nil {
		t.Fatal("a server that fails served")
	}
	f.serves(fine)
	wantState(t, f.breaker, resilience.StateOpen)
}

// TestCallersWhoGoAwayLeaveItClosed: gobreaker opens on six of them.
func TestCallersWhoGoAwayLeaveItClosed(t *testing.T) {
	overWires(t, func(t *testing.T, f *far) {
		for range 6 {
			ctx, hangUp := context.WithCancel(t.Context())
			f.serves(func(ctx context.Context) error { hangUp(); return untilDone(ctx) })
			if err := f.call(ctx); err == nil {
				t.Fatal("served, though the caller went away")
			}
		}
		f.serves(answers(canceled))
		for range 6 {
			if err := f.call(t.Context()); err == nil {
				t.Fatal("served, though the server says that the caller went away")
			}
		}
		wantState(t, f.breaker, resilience.StateClosed)
		if s := f.breaker.Snapshot(); s.Failures+s.Successes > 0 {
			t.Errorf("%d failures and %d successes, want none: nobody learned anything", s.Failures, s.Successes)
		}
		f.trip(t) // one that is the server's does
	})
}

// TestClientFaultsLeaveItClosed: a server that refuses nonsense is well.
func TestClientFaultsLeaveItClosed(t *testing.T) {
	overWires(t, func(t *testing.T, f *far) {
		f.serves(answers(invalid))
		for range 100 {
			if err := f.call(t.Context()); err == nil {
				t.Fatal("nonsense was served")
			}
		}
		wantState(t, f.breaker, resilience.StateClosed)
		if n := f.breaker.Snapshot().Successes; n != 100 {
			t.Errorf("%d successes, want 100", n)
		}
	})
}

// TestCallbacksMayAskTheBreaker: gobreaker calls them under its lock.
func TestCallbacksMayAskTheBreaker(t *testing.T) {
	var b atomic.Pointer[breaker.Breaker]
	var asked atomic.Int64
	ask := func() {
		b.Load().State()
		b.Load().Snapshot()
		asked.Add(1)
	}
	overWires(t, func(t *testing.T, f *far) {
		b.Store(f.breaker)
		asked.Store(0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.serves(answers(unavailable))
			_ = f.call(t.Context()) // closed → open
			f.serves(fine)
			_ = f.call(t.Context()) // refused
			for f.breaker.State() != resilience.StateHalfOpen {
				pause(t.Context(), time.Millisecond)
			}
			_ = f.call(t.Context()) // open → half-open → closed
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("deadlock")
		}
		wantState(t, f.breaker, resilience.StateClosed)
		if n := asked.Load(); n != 4 {
			t.Errorf("%d callbacks, want 4", n)
		}
	}, breaker.WithOpenTime(50*time.Millisecond), breaker.WithObserver(resilience.Observer{
		StateChanged: func(context.Context, resilience.StateChange) { ask() },
		Rejected:     func(context.Context, *resilience.RejectedError) { ask() },
	}))
}

// TestAbandonedStreamsDoNotWedgeIt: a probe that is a stream may be opened, and then
// neither be read nor be closed.
func TestAbandonedStreamsDoNotWedgeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, inMemory, func(t *testing.T, at place, f *far) {
			behindGRPC(t, at, f, func(ctx context.Context, c testgrpc.TestServiceClient) error {
				_, err := c.FullDuplexCall(ctx)
				return err
			})
		}, nil)
		f.breaker.ForceOpen(t.Context())
		if err := f.call(t.Context()); !errors.Is(err, gobreaker.ErrOpenState) {
			t.Errorf("while open: %v, want a refusal", err)
		}
		f.breaker.Reset(t.Context())
		lease, err := f.breaker.Allow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lease.Done(t.Context(), resilience.OutcomeTransient, 0, 0)
		time.Sleep(openTime)
		for range 3 {
			ctx, hangUp := context.WithCancel(t.Context())
			if err := f.call(ctx); err != nil {
				t.Errorf("half-open: %v, want a stream", err)
			}
			hangUp()
			synctest.Wait()
		}
		wantState(t, f.breaker, resilience.StateHalfOpen)
	})
}

// TestHalfOpenExactlyAtTheOpenTime: gobreaker is still open then.
func TestHalfOpenExactlyAtTheOpenTime(t *testing.T) {
	inBubble(t, func(t *testing.T, f *far) {
		f.trip(t)
		time.Sleep(f.breaker.Snapshot().OpenFor - 1)
		if err := f.call(t.Context()); !errors.Is(err, gobreaker.ErrOpenState) {
			t.Errorf("a nanosecond before the open time is over: %v, want a refusal", err)
		}
		time.Sleep(1)
		if err := f.call(t.Context()); err != nil {
			t.Errorf("when the open time is over: %v, want an answer", err)
		}
		wantState(t, f.breaker, resilience.StateClosed)
	})
}

// TestLostProbesDoNotWedgeIt: whatever becomes of the one probe, another one follows
// and closes the breaker.
func TestLostProbesDoNotWedgeIt(t *testing.T) {
	hang := func(f *far) { f.serves(untilDone) }
	for _, tc := range []struct {
		name string
		lose func(t *testing.T, f *far)
		// after is when its place is back.
		after time.Duration
	}{
		{"its caller goes away", func(t *testing.T, f *far) {
			hang(f)
			ctx, hangUp := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, hangUp)
			_ = f.call(ctx)
		}, 0},
		{"its caller was gone before", func(t *testing.T, f *far) {
			ctx, hangUp := context.WithCancel(t.Context())
			hangUp()
			_ = f.call(ctx)
		}, 0},
		{"its caller's time is over", func(t *testing.T, f *far) {
			hang(f)
			ctx, cancel := context.WithTimeout(t.Context(), breaker.DefaultPatience/2)
			defer cancel()
			_ = f.call(ctx)
		}, 0},
		{"it panics", func(t *testing.T, f *far) {
			f.insides(func(context.Context) error { panic("boom") })
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_ = f.call(t.Context())
		}, 0},
		{"its goroutine ends", func(t *testing.T, f *far) {
			f.insides(func(context.Context) error { runtime.Goexit(); return nil })
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = f.call(t.Context())
			}()
			<-done
		}, 0},
		{"another policy refuses it", func(t *testing.T, f *far) {
			f.insides(answers(&resilience.RejectedError{Policy: resilience.PolicyBulkhead, Name: "far"}))
			_ = f.call(t.Context())
		}, 0},
		{"nobody ever answers it", func(t *testing.T, f *far) {
			hang(f)
			ctx, hangUp := context.WithCancel(t.Context())
			t.Cleanup(hangUp)
			go func() { _ = f.call(ctx) }()
			synctest.Wait()
		}, breaker.DefaultProbeLease},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *far) {
				f.trip(t)
				time.Sleep(openTime)
				tc.lose(t, f)
				f.serves(fine)
				f.insides(fine)
				if tc.after > 0 {
					time.Sleep(tc.after - 1)
					if err := f.call(t.Context()); !errors.Is(err, gobreaker.ErrTooManyRequests) {
						t.Errorf("while the probe is under way: %v, want a refusal", err)
					}
					time.Sleep(1)
				}
				wantState(t, f.breaker, resilience.StateHalfOpen)
				if err := f.call(t.Context()); err != nil {
					t.Errorf("the next probe: %v", err)
				}
				wantState(t, f.breaker, resilience.StateClosed)
			})
		})
	}
}
