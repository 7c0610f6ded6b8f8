// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

const (
	inputMethod  = testgrpc.TestService_StreamingInputCall_FullMethodName
	outputMethod = testgrpc.TestService_StreamingOutputCall_FullMethodName
	duplexMethod = testgrpc.TestService_FullDuplexCall_FullMethodName
)

func newFallback[T any](t testing.TB, v T, opts ...fallback.Option) *fallback.Fallback[T] {
	t.Helper()
	f, err := fallback.New("menu", fallback.Value(v), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func simpleReply(name string) *testgrpc.SimpleResponse {
	return &testgrpc.SimpleResponse{Username: name}
}

func streamReply(body string) *testgrpc.StreamingOutputCallResponse {
	return &testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: []byte(body)}}
}

// standIns are fallbacks for every kind of call.
func standIns(t testing.TB, opts ...fallback.Option) []interceptors.ClientInterceptor {
	t.Helper()
	return []interceptors.ClientInterceptor{
		interceptors.Fallback(newFallback(t, simpleReply("soup"), opts...), unaryMethod),
		interceptors.Fallback(newFallback(t, &testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: 7}, opts...), inputMethod),
		interceptors.Fallback(newFallback(t, streamReply("soup"), opts...), outputMethod, duplexMethod),
	}
}

// received is all that a call of a kind gives to its caller.
func received(ctx context.Context, kind string, c testgrpc.TestServiceClient, opts ...grpc.CallOption) (got string, trailer metadata.MD, err error) {
	switch kind {
	case "unary":
		r, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, append(opts, grpc.Trailer(&trailer))...)
		return r.GetUsername(), trailer, err
	case "client stream":
		cs, err := c.StreamingInputCall(ctx, opts...)
		if err != nil {
			return "", nil, err
		}
		for range 2 {
			if err := cs.Send(&testgrpc.StreamingInputCallRequest{}); err != nil && !errors.Is(err, io.EOF) {
				return "", nil, err
			}
		}
		r, err := cs.CloseAndRecv()
		if r.GetAggregatedPayloadSize() == 7 {
			got = "soup"
		}
		return got, cs.Trailer(), err
	case "server stream":
		cs, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{}, opts...)
		if err != nil {
			return "", nil, err
		}
		got, err = all(cs)
		return got, cs.Trailer(), err
	default:
		cs, err := c.FullDuplexCall(ctx, opts...)
		if err != nil {
			return "", nil, err
		}
		if err := cs.Send(&testgrpc.StreamingOutputCallRequest{}); err != nil && !errors.Is(err, io.EOF) {
			return "", nil, err
		}
		if err := cs.CloseSend(); err != nil {
			return "", nil, err
		}
		got, err = all(cs)
		return got, cs.Trailer(), err
	}
}

// all returns the bodies of all messages.
func all(cs interface {
	Recv() (*testgrpc.StreamingOutputCallResponse, error)
}) (string, error) {
	var bodies []string
	for {
		r, err := cs.Recv()
		if errors.Is(err, io.EOF) {
			return strings.Join(bodies, " "), nil
		}
		if err != nil {
			return strings.Join(bodies, " "), err
		}
		bodies = append(bodies, string(r.GetPayload().GetBody()))
	}
}

// failing returns a service that fails before its first message.
func failing(err error) *service {
	return &service{
		handle: func(context.Context) error { return err },
		output: func(testgrpc.TestService_StreamingOutputCallServer) error { return err },
		duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return err },
	}
}

// TestFallback: every kind of call that fails, by a server or by a policy of ours, ends
// well and with the stand-in, and its record says so.
func TestFallback(t *testing.T) {
	refuse := interceptors.ClientFuncs{
		Unary: func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return &resilience.RejectedError{Policy: resilience.PolicyBreaker}
		},
		Stream: func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, &resilience.RejectedError{Policy: resilience.PolicyBreaker}
		},
	}
	for _, tc := range []struct {
		name   string
		server error
		inner  []interceptors.ClientInterceptor
	}{
		{name: "unavailable", server: status.Error(codes.Unavailable, "down")},
		{name: "internal", server: status.Error(codes.Internal, "down")},
		{name: "the server's limit", server: status.Error(codes.DeadlineExceeded, "late")},
		{name: "a refusal of the server", server: &resilience.RejectedError{Policy: resilience.PolicyShed}},
		{name: "a refusal of ours", inner: []interceptors.ClientInterceptor{refuse}},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel, back := newTelemetry(t, sdktrace.AlwaysSample()), newTelemetry(t, sdktrace.AlwaysSample())
					chain := append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)
					cc := serve(t, failing(tc.server), interceptors.ServerOptions(interceptors.Record(back.recorder)),
						interceptors.DialOptions(append(chain, tc.inner...)...))
					for range 2 { // the message is copied, and not used up
						got, trailer, err := received(t.Context(), kind.name, testgrpc.NewTestServiceClient(cc))
						if got != "soup" || err != nil {
							t.Errorf("got %q, %v, want soup", got, err)
						}
						if v := trailer.Get("x-degraded"); len(v) != 1 || v[0] != "true" {
							t.Errorf("the trailer says %q", v)
						}
					}
					synctest.Wait()
					tel.noneLeft(t)
					tel.idle(t)
					for _, line := range tel.logs.all(t) {
						checkLine(t, line, map[string]any{"msg": record.MessageRPCClient, "rpc.response.status_code": "OK", "degraded": "menu"})
					}
					if n := len(tel.logs.all(t)); n != 2 {
						t.Errorf("%d lines, want 2", n)
					}
				})
			})
		}
	}
}

// TestFallbackLeavesAlone what is not its business.
func TestFallbackLeavesAlone(t *testing.T) {
	canceled := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		return ctx
	}
	late := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	for _, tc := range []struct {
		name string
		srv  *service
		ctx  func(context.Context) context.Context
		want codes.Code
	}{
		{"success", &service{}, nil, codes.OK},
		{"the client's fault", failing(status.Error(codes.NotFound, "")), nil, codes.NotFound},
		{"a caller who gave up", hanging, canceled, codes.Canceled},
		{"the caller's deadline", hanging, late, codes.DeadlineExceeded},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, tc.srv, nil, interceptors.DialOptions(append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)...))
					ctx := t.Context()
					if tc.ctx != nil {
						ctx = tc.ctx(ctx)
					}
					got, trailer, err := received(ctx, kind.name, testgrpc.NewTestServiceClient(cc))
					if strings.Contains(got, "soup") || status.Code(err) != tc.want || len(trailer.Get("x-degraded")) > 0 {
						t.Errorf("got %q, %v, %v, want %v", got, trailer, err, tc.want)
					}
					synctest.Wait()
					tel.noneLeft(t)
					tel.idle(t)
					for _, line := range tel.logs.all(t) {
						checkLine(t, line, map[string]any{"degraded": nil})
					}
				})
			})
		}
	}
}

// hanging is a service that answers no call of any kind.
var hanging = &service{
	handle: untilDone,
	output: func(ss testgrpc.TestService_StreamingOutputCallServer) error { return untilDone(ss.Context()) },
	duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error { return untilDone(ss.Context()) },
}

// TestHalfAnAnswerIsNotReplaced: after the first message an error is an error.
func TestHalfAnAnswerIsNotReplaced(t *testing.T) {
	cc := serve(t, &service{output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
		_ = ss.Send(streamReply("steak"))
		return status.Error(codes.Unavailable, "down")
	}}, nil, interceptors.DialOptions(standIns(t)...))
	got, _, err := received(t.Context(), "server stream", testgrpc.NewTestServiceClient(cc))
	if got != "steak" || status.Code(err) != codes.Unavailable {
		t.Errorf("got %q, %v, want steak and Unavailable", got, err)
	}
}

// TestEmptyStreamIsAnAnswer: no message is not a failure.
func TestEmptyStreamIsAnAnswer(t *testing.T) {
	cc := serve(t, failing(nil), nil, interceptors.DialOptions(standIns(t)...))
	if got, _, err := received(t.Context(), "server stream", testgrpc.NewTestServiceClient(cc)); got != "" || err != nil {
		t.Errorf("got %q, %v, want nothing", got, err)
	}
}

// TestFallbackByType: without methods, what replies with a T is stood in for, and
// nothing else.
func TestFallbackByType(t *testing.T) {
	down := status.Error(codes.Unavailable, "down")
	for _, opened := range []bool{true, false} {
		inner := interceptors.ClientFuncs{}
		if !opened {
			inner.Stream = func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
				return nil, down
			}
		}
		cc := serve(t, failing(down), nil, interceptors.DialOptions(interceptors.Fallback(newFallback(t, streamReply("soup"))), inner))
		for _, kind := range callKinds {
			got, _, err := received(t.Context(), kind.name, testgrpc.NewTestServiceClient(cc))
			ours := kind.name == "server stream" || kind.name == "bidi stream"
			if ours != (got == "soup") || ours != (err == nil) || !ours && status.Code(err) != codes.Unavailable {
				t.Errorf("%s, opened %v: got %q, %v", kind.name, opened, got, err)
			}
		}
	}
}

// TestFallbackOfAnotherType: a mistake is an error that says so, at once where that can
// be known, and never a panic.
func TestFallbackOfAnotherType(t *testing.T) {
	down := status.Error(codes.Unavailable, "down")
	dynamic := dynamicpb.NewMessage((&testgrpc.Empty{}).ProtoReflect().Descriptor())
	for _, tc := range []struct {
		name string
		i    interceptors.ClientInterceptor
		code codes.Code
		want string
	}{
		{"another message", interceptors.Fallback(newFallback(t, streamReply("soup")), unaryMethod), codes.Internal,
			`interceptors: fallback "menu": method "/grpc.testing.TestService/UnaryCall": replies with grpc.testing.SimpleResponse: must be grpc.testing.StreamingOutputCallResponse`},
		{"another message, of one of several", interceptors.Fallback(newFallback(t, simpleReply("soup")), unaryMethod, outputMethod), codes.Internal,
			`method "/grpc.testing.TestService/StreamingOutputCall": replies with grpc.testing.StreamingOutputCallResponse: must be grpc.testing.SimpleResponse`},
		{"no such method", interceptors.Fallback(newFallback(t, simpleReply("soup")), "/grpc.testing.TestService/UnaryCal"), codes.Internal, "must be one of the service's"},
		{"no full method", interceptors.Fallback(newFallback(t, simpleReply("soup")), "UnaryCall"), codes.Internal, "must be a full method"},
		{"empty", interceptors.Fallback(newFallback(t, simpleReply("soup")), ""), codes.Internal, "must be a full method"},
		{"too much", interceptors.Fallback(newFallback(t, simpleReply("soup")), unaryMethod+"/x"), codes.Internal, "must be a full method"},
		{"any message, another one", interceptors.Fallback(newFallback[proto.Message](t, &testgrpc.Empty{}), unaryMethod), codes.Unavailable,
			`interceptors: fallback "menu": message grpc.testing.Empty: must be grpc.testing.SimpleResponse`},
		{"no message", interceptors.Fallback(newFallback[proto.Message](t, nil)), codes.Unavailable, `interceptors: fallback "menu": nil message`},
		{"nil of a type", interceptors.Fallback(newFallback[*testgrpc.SimpleResponse](t, nil)), codes.Unavailable, `interceptors: fallback "menu": nil message`},
		{"a dynamic message", interceptors.Fallback(newFallback(t, dynamic), unaryMethod), codes.Unavailable, `the reply is a *grpc_testing.SimpleResponse: must be a *dynamicpb.Message`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var called atomic.Int32
			cc := serve(t, &service{handle: func(context.Context) error { called.Add(1); return down }}, nil, interceptors.DialOptions(tc.i))
			_, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
			if status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("err = %v\nwant %v, %s", err, tc.code, tc.want)
			}
			if (called.Load() == 0) != (tc.code == codes.Internal) {
				t.Errorf("the server was called %d times", called.Load())
			}
			_, _, err = received(t.Context(), "server stream", testgrpc.NewTestServiceClient(cc))
			if (status.Code(err) == codes.Internal) != (tc.code == codes.Internal) {
				t.Errorf("a stream ends with %v", err)
			}
		})
	}
	t.Run("a dynamic reply", func(t *testing.T) {
		cc := serve(t, failing(down), nil, interceptors.DialOptions(interceptors.Fallback(newFallback(t, dynamic))))
		reply := dynamicpb.NewMessage((&testgrpc.SimpleResponse{}).ProtoReflect().Descriptor())
		if err := cc.Invoke(t.Context(), unaryMethod, &testgrpc.SimpleRequest{}, reply); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "message grpc.testing.Empty") {
			t.Errorf("err = %v", err)
		}
	})
	t.Run("an unknown service", func(t *testing.T) {
		cc := serve(t, &service{}, nil, interceptors.DialOptions(interceptors.Fallback(newFallback(t, simpleReply("soup"),
			fallback.WithOutcomes(resilience.OutcomeClientFault)), "/no.such.Service/Method")))
		var reply testgrpc.SimpleResponse
		if err := cc.Invoke(t.Context(), "/no.such.Service/Method", &testgrpc.SimpleRequest{}, &reply); err != nil || reply.GetUsername() != "soup" {
			t.Errorf("got %v, %v", &reply, err)
		}
		if err := cc.Invoke(t.Context(), "/no.such.Service/Method", &testgrpc.SimpleRequest{}, &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "must be a *grpc_testing.SimpleResponse") {
			t.Errorf("err = %v", err)
		}
	})
}

// TestFallbackThatFails: the error is the call's, and says of the other.
func TestFallbackThatFails(t *testing.T) {
	missing := errors.New("no menu")
	f, err := fallback.New("menu", func(_ context.Context, err error) (*testgrpc.SimpleResponse, error) {
		if status.Code(err) != codes.Unavailable {
			t.Errorf("given %v", err)
		}
		return nil, missing
	})
	if err != nil {
		t.Fatal(err)
	}
	cc := serve(t, failing(status.Error(codes.Unavailable, "down")), nil, interceptors.DialOptions(interceptors.Fallback(f)))
	err = callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
	if status.Code(err) != codes.Unavailable || !errors.Is(err, missing) {
		t.Errorf("err = %v, want Unavailable and %v", err, missing)
	}
}

// TestReplyIsACopy: nobody who changes what he got changes what the next one gets.
func TestReplyIsACopy(t *testing.T) {
	cc := serve(t, failing(status.Error(codes.Unavailable, "down")), nil,
		interceptors.DialOptions(interceptors.Fallback(newFallback(t, &testgrpc.SimpleResponse{Payload: &testgrpc.Payload{Body: []byte("soup")}}))))
	for range 2 {
		reply := &testgrpc.SimpleResponse{Username: "of the last call"}
		if err := cc.Invoke(t.Context(), unaryMethod, &testgrpc.SimpleRequest{}, reply); err != nil {
			t.Fatal(err)
		}
		if string(reply.GetPayload().GetBody()) != "soup" || reply.GetUsername() != "" {
			t.Errorf("got %v", reply)
		}
		copy(reply.GetPayload().GetBody(), "salt")
	}
}

// TestFallbackOfOurLimit: the stand-in takes the place of a call that our deadline ended,
// while the caller waits.
func TestFallbackOfOurLimit(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				chain := append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)
				chain = append(chain, interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Second))))
				cc := serve(t, hanging, nil, interceptors.DialOptions(chain...))
				if got, _, err := received(t.Context(), kind.name, testgrpc.NewTestServiceClient(cc)); got != "soup" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
				synctest.Wait()
				tel.noneLeft(t)
				tel.idle(t)
				checkLine(t, tel.logs.withMessage(t, record.MessageRPCClient), map[string]any{
					"rpc.response.status_code": "OK", "degraded": "menu", "duration_ms": 1000.0,
				})
			})
		})
	}
}

// TestUnreceivedStreamIsFinished: of a stream that failed, and that nobody receives
// from, the record ends with the call's context, and who asked for the end hears of it
// once.
func TestUnreceivedStreamIsFinished(t *testing.T) {
	for _, opened := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			inner := interceptors.ClientFuncs{}
			if !opened {
				inner.Stream = func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
					return nil, status.Error(codes.DeadlineExceeded, "late")
				}
			}
			chain := append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)
			cc := serve(t, failing(status.Error(codes.DeadlineExceeded, "late")), nil, interceptors.DialOptions(append(chain, inner)...))
			ctx, cancel := context.WithCancel(t.Context())
			var ended []error
			_, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx, grpc.OnFinish(func(err error) { ended = append(ended, err) }))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(ended) != 0 || len(tel.logs.all(t)) != 0 {
				t.Errorf("ended with %v before the caller gave up", ended)
			}
			cancel()
			synctest.Wait()
			want := codes.DeadlineExceeded
			if opened { // and gRPC reads no status that nobody receives
				want = codes.Canceled
			}
			if len(ended) != 1 || status.Code(ended[0]) != want {
				t.Errorf("ended with %v, want %v once", ended, want)
			}
			tel.noneLeft(t)
			tel.idle(t)
		})
	}
}

// TestClosedConnection: a stream that nobody receives from ends with its connection.
func TestClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry(t, sdktrace.AlwaysSample())
		chain := append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)
		cc := serve(t, hanging, nil, interceptors.DialOptions(chain...))
		if _, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = cc.Close()
		synctest.Wait()
		tel.noneLeft(t)
		tel.idle(t)
	})
}

// brokenStream is a stream of an interceptor that gives up before gRPC does.
type brokenStream struct{ grpc.ClientStream }

func (brokenStream) RecvMsg(any) error { return status.Error(codes.NotFound, "not for you") }

// TestUnopenedStream: who uses a stream that could not be opened finds it as gRPC has
// streams that are over.
func TestUnopenedStream(t *testing.T) {
	down := status.Error(codes.NotFound, "no such thing")
	inner := interceptors.ClientFuncs{Stream: func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, down
	}}
	cc := serve(t, &service{}, nil, interceptors.DialOptions(append(standIns(t), inner)...))
	client := testgrpc.NewTestServiceClient(cc)
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	duplex, err := client.FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := duplex.Send(&testgrpc.StreamingOutputCallRequest{}); err != io.EOF { //nolint:errorlint // by this value alone
		t.Errorf("Send: %v, want io.EOF", err)
	}
	if _, err := duplex.Header(); err != down { //nolint:errorlint // the very same
		t.Errorf("Header: %v", err)
	}
	if err := duplex.CloseSend(); err != nil || duplex.Trailer() != nil || duplex.Context().Value(key{}) != "mine" {
		t.Errorf("CloseSend: %v, trailer %v, context %v", err, duplex.Trailer(), duplex.Context())
	}
	for range 2 {
		if _, err := duplex.Recv(); err != down { //nolint:errorlint // the very same
			t.Errorf("Recv: %v", err)
		}
	}
	if _, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{}); err != nil {
		t.Errorf("a request that is sent with the call: %v, want what it receives to tell", err)
	}
}

// TestEndIsToldOnce: whoever asked for it, however the stream ends.
func TestEndIsToldOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want codes.Code
	}{
		{"well", nil, codes.OK},
		{"with a stand-in", status.Error(codes.Unavailable, ""), codes.OK},
		{"with an error", status.Error(codes.NotFound, ""), codes.NotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cc := serve(t, failing(tc.err), nil, interceptors.DialOptions(standIns(t)...))
				var ended []error
				_, _, _ = received(t.Context(), "bidi stream", testgrpc.NewTestServiceClient(cc), grpc.OnFinish(func(err error) { ended = append(ended, err) }))
				synctest.Wait()
				if len(ended) != 1 || status.Code(ended[0]) != tc.want {
					t.Errorf("ended with %v, want %v once", ended, tc.want)
				}
			})
		})
	}
}

// TestEndIsToldOnceOfABrokenStream: gRPC's end comes after the caller's.
func TestEndIsToldOnceOfABrokenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := interceptors.ClientFuncs{Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			cs, err := open(ctx, desc, cc, method, opts...)
			return brokenStream{cs}, err
		}}
		cc := serve(t, hanging, nil, interceptors.DialOptions(append(standIns(t), inner)...))
		ctx, cancel := context.WithCancel(t.Context())
		var ended []error
		_, _, err := received(ctx, "bidi stream", testgrpc.NewTestServiceClient(cc), grpc.OnFinish(func(err error) { ended = append(ended, err) }))
		cancel()
		synctest.Wait()
		if status.Code(err) != codes.NotFound || len(ended) != 1 || status.Code(ended[0]) != codes.NotFound {
			t.Errorf("err = %v, ended with %v, want NotFound once", err, ended)
		}
	})
}

// TestDegradedAnswer: a server whose client fell back says so in its trailer, if it
// answers at all.
func TestDegradedAnswer(t *testing.T) {
	for _, ending := range []error{nil, status.Error(codes.Internal, "")} {
		for _, kind := range callKinds {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			back := serve(t, failing(status.Error(codes.Unavailable, "down")), nil,
				interceptors.DialOptions(append([]interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}, standIns(t)...)...))
			ask := func(ctx context.Context) error {
				return errors.Join(callUnary(ctx, testgrpc.NewTestServiceClient(back)), ending)
			}
			cc := serve(t, &service{handle: ask, output: func(ss testgrpc.TestService_StreamingOutputCallServer) error { return ask(ss.Context()) }},
				interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
			_, trailer, err := received(t.Context(), kind.name, testgrpc.NewTestServiceClient(cc))
			if (err == nil) != (ending == nil) {
				t.Fatal(err)
			}
			if got := trailer.Get("x-degraded"); (len(got) == 1 && got[0] == "true") != (ending == nil) {
				t.Errorf("%s, ending with %v: the trailer says %q", kind.name, ending, got)
			}
		}
	}
}

func TestNilFallback(t *testing.T) {
	defer func() {
		if got := recover(); got != "interceptors: Fallback: nil fallback" {
			t.Errorf("panic %v", got)
		}
	}()
	interceptors.Fallback[*testgrpc.Empty](nil)
}
