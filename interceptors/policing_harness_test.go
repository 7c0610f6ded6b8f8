// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// must returns v, whose maker did not fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// retrier returns a policy that hardly waits, and may always retry.
func retrier(opts ...retry.Option) *retry.Policy {
	return must(retry.New("inventory", append([]retry.Option{
		retry.WithBackoff(time.Nanosecond, time.Nanosecond), retry.WithoutBudget(), retry.WithAttemptEstimate(0),
	}, opts...)...))
}

func hedger(opts ...hedge.Option) *hedge.Policy {
	return must(hedge.New("inventory", append([]hedge.Option{hedge.WithDelay(time.Second), hedge.WithoutBudget()}, opts...)...))
}

func newBreaker(opts ...breaker.Option) *breaker.Breaker {
	return must(breaker.New("inventory", append([]breaker.Option{breaker.WithJitter(0)}, opts...)...))
}

func newBulkhead(n int, opts ...bulkhead.Option) *bulkhead.Bulkhead {
	return must(bulkhead.New("inventory", n, opts...))
}

// oneAMinute lets one call pass, and the next after a minute.
func oneAMinute(opts ...ratelimit.LimiterOption) *ratelimit.Limiter {
	return must(ratelimit.New("inventory", 1.0/60, 1, opts...))
}

// servicePolicies returns what opts say of a downstream service, and nothing else.
func servicePolicies(opts ...policies.ClientOption) *policies.Service {
	opts = append([]policies.ClientOption{policies.NoRetry(), policies.NoBreaker()}, opts...)
	return must(policies.New(policies.WithService("inventory", opts...))).Service("inventory")
}

// step is what a server does in one attempt, when it has what it waits for: the request,
// or all messages of a client's stream, or the first of both sides' streams. nil is to
// succeed.
type step func(context.Context) error

// script is a server that takes a step for each attempt of calls of whatever kind. After
// the last one it succeeds. What it saw of them it keeps.
type script struct {
	mu    sync.Mutex
	steps []step
	seen  []seen
}

// seen is what the server saw of an attempt.
type seen struct {
	previous string // attempts, as the metadata say
	messages int    // of a client's stream
	sizes    []int  // of their bodies
	at       time.Time
	deadline time.Duration // that is left; 0 for none
}

// next begins an attempt.
func (s *script) next(ctx context.Context) (step, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := step(func(context.Context) error { return nil })
	n := len(s.seen)
	if n < len(s.steps) && s.steps[n] != nil {
		what = s.steps[n]
	}
	md, _ := metadata.FromIncomingContext(ctx)
	one := seen{at: time.Now()}
	if v := md.Get("grpc-previous-rpc-attempts"); len(v) > 0 {
		one.previous = v[len(v)-1]
		if len(v) > 1 {
			one.previous = "more than one"
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		one.deadline = time.Until(deadline)
	}
	s.seen = append(s.seen, one)
	return what, n
}

func (s *script) got(n int, m *testgrpc.Payload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[n].messages++
	s.seen[n].sizes = append(s.seen[n].sizes, len(m.GetBody()))
}

// attempts returns what was seen so far.
func (s *script) attempts() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// previous returns the previous attempts that each attempt told of.
func (s *script) previous() []string {
	var out []string
	for _, a := range s.attempts() {
		out = append(out, a.previous)
	}
	return out
}

// service is the script as a server.
func (s *script) service() *service {
	return &service{
		unary: func(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
			do, _ := s.next(ctx)
			return &testgrpc.SimpleResponse{Username: "answer"}, do(ctx)
		},
		input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
			do, n := s.next(ss.Context())
			for {
				m, err := ss.Recv()
				if err == io.EOF {
					break
				}
				if err != nil {
					return err
				}
				s.got(n, m.GetPayload())
			}
			if err := do(ss.Context()); err != nil {
				return err
			}
			return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{})
		},
		output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
			do, _ := s.next(ss.Context())
			if err := do(ss.Context()); err != nil {
				return err
			}
			for range 2 {
				if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
					return err
				}
			}
			return nil
		},
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			do, n := s.next(ss.Context())
			for first := true; ; first = false {
				m, err := ss.Recv()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				s.got(n, m.GetPayload())
				if first {
					if err := do(ss.Context()); err != nil {
						return err
					}
				}
				if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
					return err
				}
			}
		},
	}
}

// fails is a step that fails.
func fails(c codes.Code) step { return fail(c, "not yet") }

// slow is a step that takes d, or until it is canceled.
func slow(d time.Duration) step {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tells is a step that fails, and sends trailing metadata.
func tells(c codes.Code, kv ...string) step {
	return func(ctx context.Context) error {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(kv...))
		return status.Error(c, "not yet")
	}
}

// withRetryInfo is a step that fails, and has a RetryInfo in its status.
func withRetryInfo(c codes.Code, d time.Duration) step {
	return func(context.Context) error {
		return must(status.New(c, "not yet").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(d)})).Err()
	}
}

var neverSample = sdktrace.NeverSample()

// newScript returns a script of steps.
func newScript(steps ...step) *script { return &script{steps: steps} }

// dial returns a client of s below interceptors.
func dial(t testing.TB, s *service, is ...interceptors.ClientInterceptor) testgrpc.TestServiceClient {
	t.Helper()
	return testgrpc.NewTestServiceClient(serve(t, s, nil, interceptors.DialOptions(is...)))
}

// dialNarrow is dial over a connection on which neither side takes more of a stream than
// 64 KiB before it is read, whatever grpc-go measures.
func dialNarrow(t testing.TB, s *service, is ...interceptors.ClientInterceptor) testgrpc.TestServiceClient {
	t.Helper()
	return testgrpc.NewTestServiceClient(serve(t, s,
		[]grpc.ServerOption{grpc.StaticStreamWindowSize(1 << 16), grpc.StaticConnWindowSize(1 << 20)},
		append(interceptors.DialOptions(is...), grpc.WithStaticStreamWindowSize(1<<16), grpc.WithStaticConnWindowSize(1<<20))))
}

// serveClient runs s on loopback memory and returns a client of [interceptors.NewClient]
// that would retry by gRPC's own means.
func serveClient(t testing.TB, s *service, opts ...interceptors.ClientOption) *interceptors.Client {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	srv := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(srv, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(lis) })
	cc, err := interceptors.NewClient("passthrough:///inventory", append(opts, interceptors.WithPlaintext(),
		interceptors.WithDialOptions(retrying(), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return lis.DialContext(ctx)
		})))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cc.Close()
		srv.Stop()
		wg.Wait()
	})
	return cc
}

const unaryMethod = testgrpc.TestService_UnaryCall_FullMethodName

// wantAttempts checks an error of attempts made in vain; reason "" is for an error that
// is none.
func wantAttempts(t *testing.T, err error, attempts int, reason string) {
	t.Helper()
	e, ok := errors.AsType[*resilience.AttemptsError](err)
	switch {
	case !ok && reason == "":
	case !ok:
		t.Errorf("error %v is no AttemptsError, want %q after %d attempts", err, reason, attempts)
	case e.Reason != reason || e.Attempts != attempts:
		t.Errorf("%q after %d attempts, want %q after %d: %v", e.Reason, e.Attempts, reason, attempts, err)
	case !errors.Is(err, resilience.ErrAttemptsExhausted):
		t.Errorf("%v does not match ErrAttemptsExhausted", err)
	}
}
