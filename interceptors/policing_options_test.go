// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // for a compressor by name
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestCallersAreToldOfTheLastAttempt: header, trailer and peer are those of the last
// attempt, and are empty if that never reached a server; and that a call is over is said
// once.
func TestCallersAreToldOfTheLastAttempt(t *testing.T) {
	for _, tc := range []struct {
		name   string
		second func() error // instead of sending the second attempt
		want   []string
		code   codes.Code
	}{
		{name: "succeeds", want: []string{"2"}},
		{name: "is not sent", second: func() error { return status.Error(codes.Unauthenticated, "no credentials") }, code: codes.Unauthenticated},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				calls := 0
				tell := func(ctx context.Context) error {
					calls++
					n := fmt.Sprint(calls)
					_ = grpc.SetTrailer(ctx, metadata.Pairs("attempt", n))
					if calls == 1 {
						return status.Error(codes.Unavailable, "not yet")
					}
					_ = grpc.SetHeader(ctx, metadata.Pairs("attempt", n))
					return nil
				}
				attempts := 0
				inner := interceptors.ClientFuncs{
					Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
						if attempts++; attempts == 2 && tc.second != nil {
							return tc.second()
						}
						return invoke(ctx, method, req, reply, cc, opts...)
					},
					Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
						if attempts++; attempts == 2 && tc.second != nil {
							return nil, tc.second()
						}
						return open(ctx, desc, cc, method, opts...)
					},
				}
				var header, trailer metadata.MD
				var at peer.Peer
				var finished []error
				srv := newScript(tell, tell).service()
				err := kind.call(t.Context(), dial(t, srv, interceptors.Retry(retrier()), inner),
					grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&at), grpc.OnFinish(func(err error) { finished = append(finished, err) }))
				if status.Code(err) != tc.code {
					t.Errorf("ended with %v, want %v", err, tc.code)
				}
				if !slices.Equal(header["attempt"], tc.want) || !slices.Equal(trailer["attempt"], tc.want) || (at.Addr != nil) != (tc.want != nil) {
					t.Errorf("header %v, trailer %v, peer %v; want %v", header, trailer, at.Addr, tc.want)
				}
				if len(finished) != 1 || status.Code(finished[0]) != tc.code {
					t.Errorf("finished with %v, want %v once", finished, tc.code)
				}
			})
		}
	}
}

// TestRepliesAreClean: what an attempt leaves behind in the reply is gone before another.
func TestRepliesAreClean(t *testing.T) {
	attempts := 0
	inner := interceptors.ClientFuncs{
		Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if attempts++; attempts == 1 {
				reply.(*testgrpc.SimpleResponse).Hostname = "half"
				return status.Error(codes.Unavailable, "half an answer")
			}
			return nil // and leaves the reply alone
		},
	}
	reply := &testgrpc.SimpleResponse{}
	cc := serve(t, &service{}, nil, interceptors.DialOptions(interceptors.Retry(retrier()), inner))
	if err := cc.Invoke(t.Context(), unaryMethod, &testgrpc.SimpleRequest{}, reply); err != nil || reply.GetHostname() != "" {
		t.Errorf("%v, reply %v", err, reply)
	}
}

// TestMessagesAreClean is the same for messages of streams.
func TestMessagesAreClean(t *testing.T) {
	attempts := 0
	inner := interceptors.ClientFuncs{
		Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			attempts++
			cs, err := open(ctx, desc, cc, method, opts...)
			return &halfway{ClientStream: cs, fails: attempts == 1}, err
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cs, err := dial(t, &service{}, interceptors.Retry(retrier()), inner).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := &testgrpc.StreamingOutputCallResponse{}
	if err := cs.RecvMsg(m); err != nil || m.GetPayload() != nil {
		t.Errorf("%v, message %v", err, m)
	}
}

// halfway is a stream that receives nothing or, if it fails, a part of something.
type halfway struct {
	grpc.ClientStream
	fails bool
}

func (s *halfway) RecvMsg(m any) error {
	if s.fails {
		m.(*testgrpc.StreamingOutputCallResponse).Payload = &testgrpc.Payload{}
		return status.Error(codes.Unavailable, "half a message")
	}
	return nil
}

// creds are per-call credentials.
type creds string

func (c creds) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"token": string(c)}, nil
}
func (creds) RequireTransportSecurity() bool { return false }

// TestCallOptionsPassThrough: every attempt is made with the caller's options.
func TestCallOptionsPassThrough(t *testing.T) {
	for _, i := range []*interceptors.Policing{interceptors.Retry(retrier()), interceptors.Hedge(hedger()), interceptors.Breaker(newBreaker())} {
		for _, kind := range callKinds {
			var tokens []string
			see := func(ctx context.Context) error {
				md, _ := metadata.FromIncomingContext(ctx)
				tokens = append(tokens, md.Get("token")...)
				return nil
			}
			var waiting []bool
			inner := interceptors.ClientFuncs{
				Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					waiting = append(waiting, waits(opts))
					return invoke(ctx, method, req, reply, cc, opts...)
				},
				Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					waiting = append(waiting, waits(opts))
					return open(ctx, desc, cc, method, opts...)
				},
			}
			err := kind.call(t.Context(), dial(t, newScript(see).service(), i, inner),
				grpc.WaitForReady(true), grpc.PerRPCCredentials(creds("t-1")), grpc.UseCompressor("gzip"))
			if err != nil || !slices.Equal(tokens, []string{"t-1"}) || !slices.Equal(waiting, []bool{true}) {
				t.Errorf("%s: %v, tokens %q, waiting %v", kind.name, err, tokens, waiting)
			}
		}
	}
}

func waits(opts []grpc.CallOption) bool {
	return slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
		f, ok := o.(grpc.FailFastCallOption)
		return ok && !f.FailFast
	})
}

// TestGRPCRetriesAreNotDoubled: where calls are retried by us, the service config is not
// followed; where they are not, it is.
func TestGRPCRetriesAreNotDoubled(t *testing.T) {
	rec := newTelemetry(t, neverSample).recorder
	for _, tc := range []struct {
		name string
		with []interceptors.ClientInterceptor
		opts []interceptors.ClientOption
		want int // attempts
	}{
		{name: "nothing", want: 4}, // as retrying has it
		{name: "breaker", with: []interceptors.ClientInterceptor{interceptors.Breaker(newBreaker())}, want: 4},
		{name: "attempts", with: []interceptors.ClientInterceptor{interceptors.Attempts(rec)}, want: 4},
		{name: "retry", with: []interceptors.ClientInterceptor{interceptors.Retry(retrier())}, want: 3},
		{name: "retry below others", with: []interceptors.ClientInterceptor{interceptors.Record(rec), interceptors.Retry(retrier()), interceptors.Breaker(newBreaker())}, want: 3},
		{name: "hedge", with: []interceptors.ClientInterceptor{interceptors.Hedge(hedger())}, want: 2},
		{name: "policies", with: []interceptors.ClientInterceptor{interceptors.Policies(servicePolicies(policies.Retry(retry.WithMaxAttempts(2))))}, want: 2},
		{name: "policies that do not retry", with: []interceptors.ClientInterceptor{interceptors.Policies(servicePolicies())}, want: 1},
		{name: "left to gRPC", with: []interceptors.ClientInterceptor{interceptors.Policies(servicePolicies())},
			opts: []interceptors.ClientOption{interceptors.WithServiceConfigRetries()}, want: 4},
	} {
		for _, kind := range callKinds {
			if tc.name == "hedge" && kind.name != "unary" {
				continue
			}
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript(slices.Repeat([]step{fails(codes.Unavailable)}, 20)...)
					cc := serveClient(t, s.service(), append(tc.opts, interceptors.WithClientInterceptors(tc.with...))...)
					if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); status.Code(err) != codes.Unavailable {
						t.Errorf("ended with %v", err)
					}
					if n := len(s.attempts()); n != tc.want {
						t.Errorf("%d attempts, want %d", n, tc.want)
					}
				})
			})
		}
	}
}

// TestBothRetriesAreAnError: a client that is to leave retries to gRPC must not retry.
func TestBothRetriesAreAnError(t *testing.T) {
	for name, i := range map[string]*interceptors.Policing{
		"retry":    interceptors.Retry(retrier()),
		"hedge":    interceptors.Hedge(hedger()),
		"policies": interceptors.Policies(servicePolicies(policies.Retry())),
		"method":   interceptors.Policies(servicePolicies(policies.Method("/a.B/C", policies.Hedge()))),
	} {
		_, err := interceptors.NewClient("inventory:443", interceptors.WithServiceConfigRetries(), interceptors.WithClientInterceptors(i))
		if err == nil || !strings.Contains(err.Error(), "would double") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPolicingOfNothing panics with a text that says what is missing.
func TestPolicingOfNothing(t *testing.T) {
	for name, f := range map[string]func(){
		"Policies: nil service":     func() { interceptors.Policies(nil) },
		"Retry: nil policy":         func() { interceptors.Retry(nil) },
		"Hedge: nil policy":         func() { interceptors.Hedge(nil) },
		"Breaker: nil breaker":      func() { interceptors.Breaker(nil) },
		"RateLimited: nil limiter":  func() { interceptors.RateLimited(nil) },
		"Bulkhead: nil bulkhead":    func() { interceptors.Bulkhead(nil) },
		"Attempts: nil recorder":    func() { interceptors.Attempts(nil) },
		"GRPCAttempts: nil":         func() { interceptors.GRPCAttempts(nil) },
		"WithReplay: -1 messages":   func() { interceptors.WithReplay(-1, 0) },
		"must not be negative":      func() { interceptors.WithReplay(0, -1) },
		"interceptors: WithReplay:": func() { interceptors.WithReplay(-2, -2) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, name) || !strings.HasPrefix(text, "interceptors: ") {
					t.Errorf("panicked with %q, want %q", text, name)
				}
			}()
			f()
		}()
	}
}

// TestNoPolicies: a service without policies is called as if there were no layer.
func TestNoPolicies(t *testing.T) {
	for _, kind := range callKinds {
		s := newScript(fails(codes.Unavailable))
		err := kind.call(t.Context(), dial(t, s.service(), interceptors.Policies(servicePolicies())))
		if status.Code(err) != codes.Unavailable || len(s.attempts()) != 1 {
			t.Errorf("%s: %v after %d attempts", kind.name, err, len(s.attempts()))
		}
		wantAttempts(t, err, 1, "")
	}
}

// TestRemoteRefusals: the refusal of a server's policy is known as one also without a
// record above.
func TestRemoteRefusals(t *testing.T) {
	for _, kind := range callKinds {
		for _, i := range []*interceptors.Policing{interceptors.Breaker(newBreaker()), interceptors.Retry(retrier(retry.WithMaxAttempts(2)))} {
			refuse := func(context.Context) error { return statusRefusal(0) }
			err := kind.call(t.Context(), dial(t, newScript(refuse, refuse).service(), i))
			if !errors.Is(err, resilience.ErrOverloaded) || status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", kind.name, err)
			}
		}
	}
}
