// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestStreamCommits: what the caller was given of an attempt cannot be taken back.
func TestStreamCommits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		use    func(testgrpc.TestService_FullDuplexCallClient) error
		reason string
		text   string
	}{
		{name: "nothing", use: func(testgrpc.TestService_FullDuplexCallClient) error { return nil }},
		{name: "header", use: func(cs testgrpc.TestService_FullDuplexCallClient) error {
			md, err := cs.Header()
			if len(md["begun"]) != 1 {
				return fmt.Errorf("header %v", md)
			}
			return err
		}, reason: retry.ReasonNotReplayable, text: "its header was read"},
		{name: "context", use: func(cs testgrpc.TestService_FullDuplexCallClient) error { return cs.Context().Err() },
			reason: retry.ReasonNotReplayable, text: "its context was asked for"},
		{name: "first message", use: func(cs testgrpc.TestService_FullDuplexCallClient) error {
			if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				return err
			}
			_, err := cs.Recv()
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
					if calls++; calls > 1 {
						return nil
					}
					_ = ss.SendHeader(metadata.Pairs("begun", "yes"))
					for {
						if _, err := ss.Recv(); err != nil {
							return status.Error(codes.Unavailable, "broke")
						}
						if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
							return err
						}
					}
				}}
				cs, err := dial(t, srv, interceptors.Retry(retrier())).FullDuplexCall(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := tc.use(cs); err != nil {
					t.Fatal(err)
				}
				_ = cs.CloseSend()
				_, err = cs.Recv()
				if tc.name == "nothing" {
					if err != io.EOF || calls != 2 {
						t.Errorf("%v after %d calls, want EOF after 2", err, calls)
					}
					return
				}
				if status.Code(err) != codes.Unavailable || calls != 1 {
					t.Errorf("%v after %d calls, want Unavailable after 1", err, calls)
				}
				wantAttempts(t, err, 1, tc.reason)
				if !strings.Contains(err.Error(), tc.text) {
					t.Errorf("the error says %q, want %q", err, tc.text)
				}
				if again := cs.RecvMsg(&testgrpc.StreamingOutputCallResponse{}); status.Code(again) != codes.Unavailable {
					t.Errorf("received again: %v", again)
				}
			})
		})
	}
}

// TestStreamHeaderRetries: an attempt that ended without a header has none to give, and
// the one that follows it does. It is so whether or not somebody receives meanwhile.
func TestStreamHeaderRetries(t *testing.T) {
	for _, receiving := range []bool{false, true} {
		for _, last := range []error{nil, status.Error(codes.Unavailable, "never")} {
			t.Run(fmt.Sprintf("receiving %v, ends with %v", receiving, last), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
						if calls++; calls < 3 || last != nil {
							time.Sleep(time.Second)
							return status.Error(codes.Unavailable, "not yet")
						}
						_ = ss.SendHeader(metadata.Pairs("begun", "yes"))
						time.Sleep(time.Second)
						return ss.Send(&testgrpc.StreamingOutputCallResponse{})
					}}
					cs, err := dial(t, srv, interceptors.Retry(retrier())).FullDuplexCall(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					received := make(chan error, 1)
					receive := func() {
						_, err := cs.Recv()
						received <- err
					}
					if receiving {
						go receive()
						synctest.Wait()
					}
					start := time.Now()
					md, err := cs.Header()
					if err != nil || (len(md["begun"]) == 1) != (last == nil) {
						t.Errorf("header %v, %v", md, err)
					}
					if last == nil && time.Since(start) >= 3*time.Second {
						t.Errorf("waited %v for the header", time.Since(start))
					}
					if !receiving {
						receive()
					}
					err = <-received
					if status.Code(err) != status.Code(last) || calls != 3 {
						t.Errorf("received %v after %d calls, want %v after 3", err, calls, last)
					}
				})
			})
		}
	}
}

// TestHeaderDoesNotWaitForTheReplay: the header of another attempt is there when the
// server has sent it, though it has not been sent everything again.
func TestHeaderDoesNotWaitForTheReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces, size = 16, 64 << 10
		calls := 0
		srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if calls++; calls > 1 {
				_ = ss.SendHeader(metadata.Pairs("begun", "yes"))
				time.Sleep(time.Hour)
			}
			for range pieces {
				if _, err := ss.Recv(); err != nil {
					return err
				}
			}
			if calls == 1 {
				time.Sleep(time.Second)
				return status.Error(codes.Unavailable, "not yet")
			}
			return ss.Send(&testgrpc.StreamingOutputCallResponse{})
		}}
		cs, err := dialNarrow(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(100, 10<<20))).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range pieces {
			if err := cs.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, size)}}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		received := make(chan error, 1)
		go func() {
			_, err := cs.Recv()
			received <- err
		}()
		synctest.Wait()
		md, err := cs.Header()
		if got := time.Since(start); err != nil || len(md["begun"]) != 1 || got >= time.Minute {
			t.Errorf("%v, %v after %v", md, err, got)
		}
		if err := <-received; err != nil {
			t.Error(err)
		}
	})
}

// TestStreamWithoutMessages: a stream that ends well without a message is a success.
func TestStreamWithoutMessages(t *testing.T) {
	for _, header := range []bool{false, true} {
		calls := 0
		srv := &service{duplex: func(testgrpc.TestService_FullDuplexCallServer) error { calls++; return nil }}
		b := newBreaker()
		cs, err := dial(t, srv, interceptors.Retry(retrier()), interceptors.Breaker(b)).FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if header {
			if _, err := cs.Header(); err != nil {
				t.Error(err)
			}
			if n := b.Snapshot().Successes; n != 1 {
				t.Errorf("%d successes told to the breaker", n)
			}
		}
		for range 2 {
			if _, err := cs.Recv(); err != io.EOF || calls != 1 {
				t.Errorf("%v after %d calls, want EOF after 1", err, calls)
			}
		}
	}
}

// TestStreamTrailer: the trailer is that of the last attempt.
func TestStreamTrailer(t *testing.T) {
	for _, kind := range callKinds[2:] {
		t.Run(kind.name, func(t *testing.T) {
			s := newScript(tells(codes.Unavailable, "told", "1"), tells(codes.InvalidArgument, "told", "2"))
			var told metadata.MD
			err := kind.call(t.Context(), dial(t, s.service(), interceptors.Retry(retrier())), grpc.Trailer(&told))
			if status.Code(err) != codes.InvalidArgument || !slices.Equal(told["told"], []string{"2"}) {
				t.Errorf("%v, trailer %v", err, told)
			}
		})
	}
	s := newScript(tells(codes.Unavailable, "told", "1"), tells(codes.InvalidArgument, "told", "2"))
	cs, err := dial(t, s.service(), interceptors.Retry(retrier())).StreamingOutputCall(t.Context(), &testgrpc.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = cs.Recv()
	if got := cs.Trailer()["told"]; !slices.Equal(got, []string{"2"}) {
		t.Errorf("trailer %v, want that of the last attempt", got)
	}
}

// TestStreamGivenUp: a caller who gives up gets everything back at once, whatever goes
// on: sending, receiving, a backoff.
func TestStreamGivenUp(t *testing.T) {
	for _, how := range []string{"receiving", "nobody there", "backoff", "sending", "sending more than is kept in a backoff"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				finished := make(chan error, 10)
				ctx, cancel := context.WithCancel(t.Context())
				calls := 0
				srv := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
					calls++
					if strings.Contains(how, "backoff") {
						_ = grpc.SetTrailer(ss.Context(), metadata.Pairs("grpc-retry-pushback-ms", "20000"))
						return status.Error(codes.Unavailable, "later")
					}
					<-ss.Context().Done()
					return ss.Context().Err()
				}}
				places := newBulkhead(1)
				cs, err := dial(t, srv, interceptors.Retry(retrier(), interceptors.WithReplay(2, 1<<30)), interceptors.Bulkhead(places)).
					FullDuplexCall(ctx, grpc.OnFinish(func(err error) { finished <- err }))
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				if how == "receiving" || strings.Contains(how, "backoff") {
					wg.Go(func() {
						if _, err := cs.Recv(); status.Code(err) != codes.Canceled {
							t.Errorf("received %v, want Canceled", err)
						}
					})
					synctest.Wait()
				}
				if strings.HasPrefix(how, "sending") {
					wg.Go(func() {
						var err error
						for err == nil {
							err = cs.Send(&testgrpc.StreamingOutputCallRequest{Payload: &testgrpc.Payload{Body: make([]byte, 100_000)}})
						}
						if err != io.EOF && status.Code(err) != codes.Canceled {
							t.Errorf("sent with %v", err)
						}
					})
				}
				synctest.Wait()
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				wg.Wait()
				<-ctx.Done()
				synctest.Wait()
				if got := time.Since(start); got != time.Second {
					t.Errorf("over after %v, want 1s", got)
				}
				if n := places.Snapshot().InFlight; n != 0 || calls != 1 {
					t.Errorf("%d places taken, %d calls", n, calls)
				}
				if len(finished) != 1 || status.Code(<-finished) != codes.Canceled {
					t.Errorf("told %d times that the call is over, want once, as Canceled", len(finished))
				}
			})
		})
	}
}

// TestStreamAttemptsAreObserved: the attempts of a stream are told to observers once each.
func TestStreamAttemptsAreObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		p := retrier(retry.WithObserver(resilience.Observer{Attempted: func(_ context.Context, a resilience.Attempt) {
			told = append(told, fmt.Sprint(a.Number, a.Outcome, a.Again, a.Reason))
		}}))
		s := newScript(fails(codes.Unavailable), fails(codes.Aborted))
		if err := callDuplex(t.Context(), dial(t, s.service(), interceptors.Retry(p))); err != nil {
			t.Error(err)
		}
		want := []string{"1 transient true", "2 transient true", "3 ok false"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestStreamLateFailure: what fails after the first message is the caller's business.
func TestStreamLateFailure(t *testing.T) {
	calls := 0
	srv := &service{output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
		calls++
		if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
			return err
		}
		return status.Error(codes.Unavailable, "broke")
	}}
	err := callOutput(t.Context(), dial(t, srv, interceptors.Retry(retrier())))
	if status.Code(err) != codes.Unavailable || calls != 1 {
		t.Errorf("%v after %d calls, want Unavailable after 1", err, calls)
	}
	if _, ok := errors.AsType[*resilience.AttemptsError](err); ok {
		t.Errorf("%v is an AttemptsError: nobody would have retried it", err)
	}
}

// TestStreamReplayPanics: a panic while a stream is sent again is the receiver's, and
// leaves nothing behind.
func TestStreamReplayPanics(t *testing.T) {
	for name, broken := range map[string]func(){"panic": func() { panic("below") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				places, sent := newBulkhead(1), 0
				inner := interceptors.ClientFuncs{
					Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
						cs, err := open(ctx, desc, cc, method, opts...)
						return &sending{ClientStream: cs, before: func() {
							if sent++; sent == 2 {
								broken()
							}
						}}, err
					},
				}
				ctx, cancel := context.WithCancel(t.Context())
				s := newScript(fails(codes.Unavailable))
				cs, err := dial(t, s.service(), interceptors.Retry(retrier()), interceptors.Bulkhead(places), inner).FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
					t.Fatal(err)
				}
				func() {
					defer func() {
						if e, ok := recover().(*hedge.PanicError); !ok || name == "panic" && e.Value != "below" {
							t.Errorf("panicked with %v", e)
						}
					}()
					_, err := cs.Recv()
					t.Errorf("received with %v", err)
				}()
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != io.EOF {
					t.Errorf("sent with %v", err)
				}
				cancel()
				synctest.Wait()
				if n := places.Snapshot().InFlight; n != 0 {
					t.Errorf("%d places taken", n)
				}
			})
		})
	}
}

// TestStreamReopenPanics: a panic while a stream is opened once more is the receiver's,
// and ends the call for who sends.
func TestStreamReopenPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, finished := 0, 0
		inner := below(func() {
			if opened++; opened == 2 {
				time.Sleep(time.Second)
				panic("below")
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := newScript(fails(codes.Unavailable))
		cs, err := dial(t, s.service(), interceptors.Retry(retrier(), interceptors.WithReplay(1, 1000)), inner).
			FullDuplexCall(ctx, grpc.OnFinish(func(error) { finished++ }))
		if err != nil {
			t.Fatal(err)
		}
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if v := recover(); v != "below" {
					t.Errorf("panicked with %v", v)
				}
			}()
			_, _ = cs.Recv()
		})
		synctest.Wait() // it is opened again
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != io.EOF {
			t.Errorf("sent with %v", err)
		}
		wg.Wait()
		if finished != 1 {
			t.Errorf("told %d times that the call is over", finished)
		}
	})
}

// sending is a stream that does something before it sends.
type sending struct {
	grpc.ClientStream
	before func()
}

func (s *sending) SendMsg(m any) error {
	s.before()
	return s.ClientStream.SendMsg(m)
}

// TestStreamMisuse: messages after CloseSend, and messages that cannot be sent.
func TestStreamMisuse(t *testing.T) {
	for _, how := range []string{"after CloseSend", "after CloseSend, while broken", "no message"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				finished := 0
				places := newBulkhead(1)
				s := newScript(slow(time.Hour)).service()
				if how == "after CloseSend, while broken" {
					s.duplex = func(testgrpc.TestService_FullDuplexCallServer) error {
						return status.Error(codes.Unavailable, "broken")
					}
				}
				cs, err := dial(t, s, interceptors.Retry(retrier()), interceptors.Bulkhead(places)).
					FullDuplexCall(ctx, grpc.OnFinish(func(error) { finished++ }))
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(how, "after CloseSend") {
					synctest.Wait()
					_ = cs.Send(&testgrpc.StreamingOutputCallRequest{})
					_ = cs.CloseSend()
					if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); status.Code(err) != codes.Internal {
						t.Errorf("sent with %v", err)
					}
					return
				}
				if err := cs.SendMsg("no message"); status.Code(err) != codes.Internal {
					t.Errorf("sent with %v", err)
				}
				synctest.Wait()
				if n := places.Snapshot().InFlight; n != 0 || finished != 1 {
					t.Errorf("%d places taken, told %d times that the call is over", n, finished)
				}
				if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != io.EOF {
					t.Errorf("sent again with %v", err)
				}
				if _, err := cs.Recv(); err == nil || err == io.EOF {
					t.Errorf("received with %v", err)
				}
			})
		})
	}
}
