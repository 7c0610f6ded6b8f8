// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// message returns one for a client's stream, with a body of n bytes.
func message(n int) *testgrpc.StreamingInputCallRequest {
	return &testgrpc.StreamingInputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, n)}}
}

// TestStreamReplay: whatever was sent, in one piece or in many, is sent again in the
// same order, up to the bounds; beyond them a failure says that it could not be.
func TestStreamReplay(t *testing.T) {
	for _, tc := range []struct {
		name    string
		sizes   []int
		options []interceptors.PolicingOption
		why     string // it is not replayed
	}{
		{name: "nothing", sizes: nil},
		{name: "a few", sizes: []int{1, 2, 3}},
		{name: "as many as are kept", sizes: slices.Repeat([]int{1}, 64)},
		{name: "one more", sizes: slices.Repeat([]int{1}, 65), why: "more than 64 messages were sent"},
		{name: "as many bytes as are kept", sizes: []int{200 << 10, 50 << 10}},
		{name: "more bytes", sizes: []int{200 << 10, 60 << 10}, why: "more than 262144 bytes were sent"},
		{name: "bounds of the user", sizes: []int{1, 1, 1}, options: []interceptors.PolicingOption{interceptors.WithReplay(2, 1<<20)}, why: "more than 2 messages were sent"},
		{name: "nothing is kept", sizes: []int{1}, options: []interceptors.PolicingOption{interceptors.WithReplay(0, 0)}, why: "more than 0 messages were sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript(fails(codes.Unavailable), fails(codes.Unavailable))
				client := dial(t, s.service(), interceptors.Retry(retrier(), tc.options...))
				cs, err := client.StreamingInputCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range tc.sizes {
					if err := cs.Send(message(n)); err != nil {
						t.Fatal(err)
					}
				}
				_, err = cs.CloseAndRecv()
				want := 3
				if tc.why != "" {
					want = 1
					wantAttempts(t, err, 1, retry.ReasonNotReplayable)
					if text := err.Error(); !strings.Contains(text, "stream cannot be replayed: "+tc.why) || !strings.Contains(text, "not yet") {
						t.Errorf("the error says %q", text)
					}
					if status.Code(err) != codes.Unavailable {
						t.Errorf("code %v, want Unavailable", status.Code(err))
					}
				} else if err != nil {
					t.Errorf("failed: %v", err)
				}
				seen := s.attempts()
				if len(seen) != want {
					t.Fatalf("%d attempts, want %d", len(seen), want)
				}
				for i, a := range seen {
					if !slices.Equal(a.sizes, tc.sizes) {
						t.Errorf("attempt %d was sent %v, want %v", i+1, a.sizes, tc.sizes)
					}
				}
			})
		})
	}
}

// TestOneRequestIsAlwaysKept: a server's stream is as easy to ask for again as a unary
// call, however large its request.
func TestOneRequestIsAlwaysKept(t *testing.T) {
	s := newScript(fails(codes.Unavailable))
	client := dial(t, s.service(), interceptors.Retry(retrier(), interceptors.WithReplay(0, 0)))
	cs, err := client.StreamingOutputCall(t.Context(), &testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 1<<20)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := drain(cs); err != nil || len(s.attempts()) != 2 {
		t.Errorf("%v after %d attempts", err, len(s.attempts()))
	}
}

// TestStreamOverflowIsNoFailure: a stream that is sent more than is kept goes on, and a
// failure that nobody would retry is what it is.
func TestStreamOverflowIsNoFailure(t *testing.T) {
	for _, tc := range []struct {
		name string
		step step
		code codes.Code
	}{{"success", nil, codes.OK}, {"client's fault", fails(codes.InvalidArgument), codes.InvalidArgument}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(tc.step)
			cs, err := dial(t, s.service(), interceptors.Retry(retrier(), interceptors.WithReplay(3, 100))).StreamingInputCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if err := cs.Send(message(10)); err != nil {
					t.Fatal(err)
				}
			}
			_, err = cs.CloseAndRecv()
			if status.Code(err) != tc.code {
				t.Errorf("ended with %v, want %v", err, tc.code)
			}
			wantAttempts(t, err, 1, "")
			if got := s.attempts()[0].messages; got != 100 {
				t.Errorf("the server received %d messages, want 100", got)
			}
		})
	}
}

// TestStreamBrokenWhileSending: who sends to a stream that has broken learns of it where
// it receives, and until then sends on; if it sends more than is kept, it is told so.
func TestStreamBrokenWhileSending(t *testing.T) {
	early := func() (*service, *int) {
		calls := 0
		return &service{input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
			if calls++; calls == 1 {
				return status.Error(codes.Unavailable, "not yet")
			}
			n := 0
			for {
				if _, err := ss.Recv(); err == io.EOF {
					return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
				} else if err != nil {
					return err
				}
				n++
			}
		}}, &calls
	}
	t.Run("fits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, calls := early()
			cs, err := dial(t, srv, interceptors.Retry(retrier())).StreamingInputCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				synctest.Wait() // the server has answered by the second
				if err := cs.Send(message(1)); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			reply, err := cs.CloseAndRecv()
			if err != nil || reply.GetAggregatedPayloadSize() != 10 || *calls != 2 {
				t.Errorf("%v, %v after %d calls, want 10 messages in the second", reply, err, *calls)
			}
		})
	})
	t.Run("does not fit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, calls := early()
			cs, err := dial(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(5, 1<<20))).StreamingInputCall(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sent := 0
			for ; err == nil; sent++ {
				synctest.Wait()
				err = cs.Send(message(1))
			}
			if err != io.EOF || sent != 6 {
				t.Errorf("message %d: %v, want io.EOF at the 6th", sent, err)
			}
			_, err = cs.CloseAndRecv()
			wantAttempts(t, err, 1, retry.ReasonNotReplayable)
			if *calls != 1 {
				t.Errorf("%d calls, want 1", *calls)
			}
		})
	})
}

// TestSendingEndsWithTheReplay: who waits for a replay learns that it broke off.
func TestSendingEndsWithTheReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces, size = 16, 64 << 10
		calls := 0
		srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if calls++; calls > 1 {
				_ = ss.SendHeader(metadata.Pairs("begun", "yes"))
				time.Sleep(time.Second) // while it is sent more than it takes
				return status.Error(codes.Unavailable, "broke")
			}
			for range pieces {
				if _, err := ss.Recv(); err != nil {
					return err
				}
			}
			return status.Error(codes.Unavailable, "not yet")
		}}
		cs, err := dialNarrow(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(100, 10<<20))).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		piece := &testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, size)}}
		for range pieces {
			if err := cs.Send(piece); err != nil {
				t.Fatal(err)
			}
		}
		if md, err := cs.Header(); err != nil || len(md["begun"]) != 1 {
			t.Fatal(md, err)
		}
		start := time.Now()
		if err := cs.Send(piece); err != io.EOF || time.Since(start) != time.Second {
			t.Errorf("sent with %v after %v, want EOF after 1s", err, time.Since(start))
		}
		_, err = cs.Recv()
		wantAttempts(t, err, 2, retry.ReasonNotReplayable)
	})
}

// TestStreamSendersAndReceivers: one goroutine sends and another receives, while
// attempts fail at any time; every attempt is sent the same, from its beginning, and
// nothing is lost or doubled of what the last one echoes.
func TestStreamSendersAndReceivers(t *testing.T) {
	for _, failures := range []int{0, 1, 3} {
		for _, after := range []int{0, 1, 5, 40} {
			t.Run(fmt.Sprintf("%d failures after %d messages", failures, after), func(t *testing.T) {
				var mu sync.Mutex
				calls := 0
				srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
					mu.Lock()
					calls++
					failing := calls <= failures
					mu.Unlock()
					for n := 0; ; n++ {
						if failing && n == after {
							return status.Error(codes.Unavailable, "not yet")
						}
						m, err := ss.Recv()
						if err == io.EOF && !failing {
							return nil
						}
						if err != nil {
							return status.Error(codes.Unavailable, "not yet")
						}
						if failing {
							continue // an answer would be the first message
						}
						if err := ss.Send(&testgrpc.StreamingOutputCallResponse{Payload: m.GetPayload()}); err != nil {
							return err
						}
					}
				}}
				const n = 300
				client := dial(t, srv, interceptors.Retry(retrier(retry.WithMaxAttempts(5)), interceptors.WithReplay(n, 1<<20)))
				cs, err := client.FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					for i := range n {
						err := cs.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: []byte(fmt.Sprint(i))}})
						if err != nil {
							t.Errorf("message %d: %v", i, err)
							return
						}
					}
					_ = cs.CloseSend()
				})
				for i := 0; ; i++ {
					m, err := cs.Recv()
					if err == io.EOF {
						if i != n {
							t.Errorf("%d messages came back, want %d", i, n)
						}
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := string(m.GetPayload().GetBody()); got != fmt.Sprint(i) {
						t.Fatalf("message %d came back as %s", i, got)
					}
				}
				wg.Wait()
			})
		}
	}
}

// TestStreamOverflowWhileRetrying: what no longer fits waits for the next attempt.
func TestStreamOverflowWhileRetrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, got := 0, 0
		srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if calls++; calls == 1 {
				_ = grpc.SetTrailer(ss.Context(), metadata.Pairs("grpc-retry-pushback-ms", "1000"))
				return status.Error(codes.Unavailable, "in a second")
			}
			for {
				if _, err := ss.Recv(); err == io.EOF {
					return ss.Send(&testgrpc.StreamingOutputCallResponse{})
				} else if err != nil {
					return err
				}
				got++
			}
		}}
		cs, err := dial(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(3, 1000))).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan error, 1)
		go func() {
			_, err := cs.Recv()
			received <- err
		}()
		synctest.Wait() // a retry is due
		start := time.Now()
		for i := range 10 {
			if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); i == 2 && waited != 0 || i == 3 && waited < time.Second {
				t.Errorf("message %d sent after %v: the 4th has to wait for the retry", i+1, waited)
			}
		}
		_ = cs.CloseSend()
		if err := <-received; err != nil || got != 10 || calls != 2 {
			t.Errorf("%v, %d messages, %d calls", err, got, calls)
		}
	})
}

// TestStreamKeepsNothingAfterItsAnswer: what was kept to be sent again is let go of.
func TestStreamKeepsNothingAfterItsAnswer(t *testing.T) {
	cs, err := dial(t, &service{}, interceptors.Retry(retrier())).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func() weak.Pointer[testgrpc.StreamingOutputCallRequest] {
		m := &testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 10)}}
		if err := cs.Send(m); err != nil {
			t.Fatal(err)
		}
		return weak.Make(m)
	}
	kept := send()
	runtime.GC()
	if kept.Value() == nil {
		t.Error("not kept before the answer")
	}
	if _, err := cs.Recv(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if runtime.GC(); kept.Value() == nil {
			break
		}
	}
	if kept.Value() != nil {
		t.Error("kept after the answer")
	}
	_ = cs.CloseSend()
	_ = drain(cs)
}

// TestStreamReplayIsNoDeadlock: a server that answers at length before it reads gets to
// do so while it is sent everything again.
func TestStreamReplayIsNoDeadlock(t *testing.T) {
	const pieces, size = 16, 64 << 10
	calls := 0
	srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
		calls++
		read := func() error {
			for range pieces {
				if _, err := ss.Recv(); err != nil {
					return err
				}
			}
			return nil
		}
		if calls == 1 {
			if err := read(); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "not yet")
		}
		for range pieces {
			if err := ss.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, size)}}); err != nil {
				return err
			}
		}
		return read()
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cs, err := dialNarrow(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(100, 10<<20))).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range pieces {
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, size)}}); err != nil {
			t.Fatal(err)
		}
	}
	_ = cs.CloseSend()
	if err := drain(cs); err != nil || calls != 2 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
