// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// answering is a server whose n-th attempt takes as long and ends as turns say, and
// tells in header, trailer and reply which attempt it is.
func answering(turns ...step) (*service, *script) {
	s := newScript(turns...)
	return &service{unary: func(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
		do, n := s.next(ctx)
		err := do(ctx)
		name := []string{"first", "second", "third"}[n]
		_ = grpc.SetTrailer(ctx, metadata.Pairs("from", name))
		if err != nil {
			return nil, err
		}
		_ = grpc.SetHeader(ctx, metadata.Pairs("from", name))
		reply := &testgrpc.SimpleResponse{Username: name}
		if n == 0 {
			reply.OauthScope = "first"
		}
		return reply, nil
	}}, s
}

// late is a step that takes d whether or not somebody waits, and then fails with c.
func late(d time.Duration, c codes.Code) step {
	return func(context.Context) error {
		time.Sleep(d)
		return status.Error(c, "late")
	}
}

// TestHedge: the answer that comes first is the call's, with all that the caller asked to
// be told of it, and nothing of the others.
func TestHedge(t *testing.T) {
	for _, tc := range []struct {
		name     string
		turns    []step
		from     string
		code     codes.Code
		took     time.Duration
		attempts int
		previous []string
	}{
		{name: "fast enough", turns: []step{slow(900 * time.Millisecond)}, from: "first", took: 900 * time.Millisecond, attempts: 1},
		{name: "the second wins", turns: []step{slow(time.Hour), nil}, from: "second", took: time.Second, attempts: 2},
		{name: "the first wins", turns: []step{slow(1500 * time.Millisecond), slow(time.Hour)}, from: "first", took: 1500 * time.Millisecond, attempts: 2},
		{name: "a failure that goes on", turns: []step{fails(codes.Unavailable), slow(100 * time.Millisecond)}, from: "second", took: 100 * time.Millisecond, attempts: 2},
		{name: "a failure that ends it", turns: []step{fails(codes.NotFound)}, from: "first", code: codes.NotFound, attempts: 1},
		{name: "failures of all", turns: []step{fails(codes.Unavailable), fails(codes.Unavailable)}, from: "second", code: codes.Unavailable, attempts: 2},
		{name: "push-back", turns: []step{tells(codes.Unavailable, "grpc-retry-pushback-ms", "-1")}, from: "first", code: codes.Unavailable, attempts: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, s := answering(tc.turns...)
				cc := serve(t, srv, nil, interceptors.DialOptions(interceptors.Hedge(hedger())))
				var header, trailer metadata.MD
				var at peer.Peer
				finished := 0
				reply := &testgrpc.SimpleResponse{Hostname: "left over"}
				start := time.Now()
				callErr := cc.Invoke(t.Context(), unaryMethod, &testgrpc.SimpleRequest{}, reply,
					grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&at), grpc.OnFinish(func(error) { finished++ }))
				if got := time.Since(start); got != tc.took {
					t.Errorf("took %v, want %v", got, tc.took)
				}
				if status.Code(callErr) != tc.code {
					t.Errorf("ended with %v, want %v", callErr, tc.code)
				}
				if n := len(s.attempts()); n != tc.attempts {
					t.Errorf("%d attempts, want %d", n, tc.attempts)
				}
				if tc.attempts == 2 && s.previous()[1] != "1" {
					t.Errorf("previous attempts %q", s.previous())
				}
				if got := trailer["from"]; !slices.Equal(got, []string{tc.from}) {
					t.Errorf("trailer of %v, want %v", got, tc.from)
				}
				if at.Addr == nil || finished != 1 {
					t.Errorf("peer %v, told %d times that the call is over", at.Addr, finished)
				}
				if tc.code != codes.OK {
					if reply.GetHostname() != "left over" {
						t.Errorf("reply %v of a call that failed", reply)
					}
					return
				}
				if got := header["from"]; !slices.Equal(got, []string{tc.from}) {
					t.Errorf("header of %v, want %v", got, tc.from)
				}
				want := &testgrpc.SimpleResponse{Username: tc.from}
				if tc.from == "first" {
					want.OauthScope = "first"
				}
				if !proto.Equal(reply, want) {
					t.Errorf("reply %v, want %v", reply, want)
				}
			})
		})
	}
}

// TestHedgesHaveTheirOwnReplies: what a loser writes, however late, is not in the reply.
func TestHedgesHaveTheirOwnReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := answering(slow(time.Hour))
		var first atomic.Bool
		inner := interceptors.ClientFuncs{
			Unary: func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				loser := !first.Swap(true)
				err := invoke(ctx, method, req, reply, cc, opts...)
				if loser {
					time.Sleep(time.Second)
					reply.(*testgrpc.SimpleResponse).Hostname = "late"
				}
				return err
			},
		}
		cc := serve(t, srv, nil, interceptors.DialOptions(interceptors.Hedge(hedger()), inner))
		reply := &testgrpc.SimpleResponse{}
		if err := cc.Invoke(t.Context(), unaryMethod, &testgrpc.SimpleRequest{}, reply); err != nil || reply.GetHostname() != "" || reply.GetUsername() != "second" {
			t.Errorf("%v, reply %v", err, reply)
		}
	})
}

// TestHedgeAsksForEachAttempt: every attempt asks the policies below, and one that lost
// says nothing about the service.
func TestHedgeAsksForEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, places := newBreaker(breaker.WithMinCalls(1)), newBulkhead(2)
		srv, s := answering(late(3*time.Second, codes.Unavailable), slow(time.Second))
		client := dial(t, srv, interceptors.Hedge(hedger()), interceptors.Breaker(b), interceptors.Bulkhead(places))
		done := make(chan error, 1)
		go func() { done <- callUnary(t.Context(), client) }()
		time.Sleep(1500 * time.Millisecond)
		if n := places.Snapshot().InFlight; n != 2 {
			t.Errorf("%d places taken by two attempts", n)
		}
		if err := <-done; err != nil || len(s.attempts()) != 2 {
			t.Errorf("%v after %d attempts", err, len(s.attempts()))
		}
		time.Sleep(5 * time.Second)
		if got := b.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 || got.Successes != 1 {
			t.Errorf("breaker %v, %d failures, %d successes; want one success", got.State, got.Failures, got.Successes)
		}
		if n := places.Snapshot().InFlight; n != 0 {
			t.Errorf("%d places taken after the end", n)
		}
	})
}

// TestHedgeRefused: what the policies below refuse does not end the call while another
// attempt is under way, if the policy says so.
func TestHedgeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := answering(slow(2 * time.Second))
		client := dial(t, srv, interceptors.Hedge(hedger(hedge.WithNonFatal(resilience.OutcomeRejected))), interceptors.Bulkhead(newBulkhead(1)))
		if err := callUnary(t.Context(), client); err != nil || len(s.attempts()) != 1 {
			t.Errorf("%v after %d attempts, want the first to answer", err, len(s.attempts()))
		}
	})
}

// TestNotHedged: calls that may not be sent twice at a time are sent once.
func TestNotHedged(t *testing.T) {
	t.Run("streams", func(t *testing.T) {
		for _, kind := range callKinds[1:] {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(slow(time.Minute))
				svc := servicePolicies(policies.Hedge(hedge.WithDelay(time.Second)), policies.Bulkhead(1))
				if err := kind.call(t.Context(), dial(t, s.service(), interceptors.Policies(svc))); err != nil || len(s.attempts()) != 1 {
					t.Errorf("%s: %v after %d attempts", kind.name, err, len(s.attempts()))
				}
			})
		}
	})
	t.Run("nested", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, s := answering(slow(time.Minute))
			ctx := retry.WithPreviousAttempts(t.Context(), 1)
			if err := callUnary(ctx, dial(t, srv, interceptors.Hedge(hedger()))); err != nil || len(s.attempts()) != 1 {
				t.Errorf("%v after %d attempts", err, len(s.attempts()))
			}
		})
	})
	t.Run("replies of another kind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, s := answering(slow(time.Minute))
			cc := serve(t, srv, nil, interceptors.DialOptions(interceptors.Hedge(hedger())))
			var reply []byte
			err := cc.Invoke(t.Context(), unaryMethod, []byte(nil), &reply, grpc.ForceCodec(rawCodec{}))
			if err != nil || len(s.attempts()) != 1 || len(reply) == 0 {
				t.Errorf("%v after %d attempts, reply %q", err, len(s.attempts()), reply)
			}
		})
	})
}

// rawCodec leaves messages as they are.
type rawCodec struct{}

func (rawCodec) Name() string                    { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = slices.Clone(b); return nil }

// TestHedgePanics: the panic of an attempt is the caller's, and leaves nothing behind.
func TestHedgePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := newBulkhead(2)
		client := dial(t, &service{}, interceptors.Hedge(hedger()), interceptors.Bulkhead(places), below(func() { panic(errors.New("below")) }))
		func() {
			defer func() {
				if e, ok := recover().(*hedge.PanicError); !ok || e.Value.(error).Error() != "below" {
					t.Errorf("panicked with %v", e)
				}
			}()
			_ = callUnary(t.Context(), client)
		}()
		if n := places.Snapshot().InFlight; n != 0 {
			t.Errorf("%d places taken", n)
		}
	})
}
