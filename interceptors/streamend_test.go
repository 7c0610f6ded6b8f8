// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestClientStreamEnds: whatever ends a client's stream ends its record, once,
// also if nobody receives any more.
func TestClientStreamEnds(t *testing.T) {
	type duplex = grpc.BidiStreamingClient[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]
	for _, tc := range []struct {
		name    string
		limit   time.Duration // of the client's budget
		do      func(ctx context.Context, cancel context.CancelFunc, cc *grpc.ClientConn, cs duplex)
		code    string
		outcome string
		after   time.Duration
	}{
		{name: "canceled, nobody receives", code: "CANCELLED", outcome: "canceled", after: time.Second,
			do: func(_ context.Context, cancel context.CancelFunc, _ *grpc.ClientConn, cs duplex) {
				_ = cs.Send(&testgrpc.StreamingOutputCallRequest{})
				time.Sleep(time.Second)
				cancel()
			}},
		{name: "canceled, somebody receives", code: "CANCELLED", outcome: "canceled", after: time.Second,
			do: func(_ context.Context, cancel context.CancelFunc, _ *grpc.ClientConn, cs duplex) {
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = cs.Recv() })
				time.Sleep(time.Second)
				cancel()
				wg.Wait()
			}},
		{name: "caller's deadline, nobody receives", code: "DEADLINE_EXCEEDED", outcome: "caller_deadline", after: time.Minute,
			do: func(ctx context.Context, _ context.CancelFunc, _ *grpc.ClientConn, _ duplex) { <-ctx.Done() }},
		{name: "caller's deadline, somebody receives", code: "DEADLINE_EXCEEDED", outcome: "caller_deadline", after: time.Minute,
			do: func(_ context.Context, _ context.CancelFunc, _ *grpc.ClientConn, cs duplex) { _, _ = cs.Recv() }},
		{name: "our limit, nobody receives", limit: 2 * time.Second, code: "DEADLINE_EXCEEDED", outcome: "timeout", after: 2 * time.Second,
			do: func(context.Context, context.CancelFunc, *grpc.ClientConn, duplex) { time.Sleep(3 * time.Second) }},
		{name: "our limit, somebody receives", limit: 2 * time.Second, code: "DEADLINE_EXCEEDED", outcome: "timeout", after: 2 * time.Second,
			do: func(_ context.Context, _ context.CancelFunc, _ *grpc.ClientConn, cs duplex) { _, _ = cs.Recv() }},
		{name: "connection closed, nobody receives", code: "CANCELLED", outcome: "canceled", after: time.Second,
			do: func(_ context.Context, _ context.CancelFunc, cc *grpc.ClientConn, _ duplex) {
				time.Sleep(time.Second)
				_ = cc.Close()
			}},
		{name: "what cannot be sent", code: "INTERNAL", outcome: "server_fault",
			do: func(_ context.Context, _ context.CancelFunc, _ *grpc.ClientConn, cs duplex) {
				if err := cs.SendMsg("no protobuf"); err == nil {
					panic("sent")
				}
			}},
		{name: "used after its end", code: "CANCELLED", outcome: "canceled",
			do: func(_ context.Context, cancel context.CancelFunc, _ *grpc.ClientConn, cs duplex) {
				cancel()
				for range 3 {
					_, _ = cs.Recv()
					_ = cs.Send(&testgrpc.StreamingOutputCallRequest{})
				}
			}},
	} {
		for _, below := range []string{"nothing", "policies", "a breaker", "policies and attempts"} {
			t.Run(tc.name+"/above "+below, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					is := []interceptors.ClientInterceptor{interceptors.Record(tel.recorder)}
					if tc.limit > 0 {
						is = append(is, interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(tc.limit))))
					}
					places, spans := newBulkhead(1), 1
					switch below {
					case "policies":
						is = append(is, interceptors.Retry(retrier()), interceptors.Breaker(newBreaker()), interceptors.Bulkhead(places))
					case "a breaker":
						is = append(is, interceptors.Breaker(newBreaker()))
					case "policies and attempts":
						is = append(is, interceptors.Retry(retrier(retry.WithPerTryTimeout(time.Hour))), interceptors.Bulkhead(places), interceptors.Attempts(tel.recorder))
						spans = 2
					}
					server := &service{duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
						<-ss.Context().Done()
						return ss.Context().Err()
					}}
					cc := serve(t, server, nil, interceptors.DialOptions(is...))
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					cs, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(ctx)
					if err != nil {
						t.Fatal(err)
					}
					tc.do(ctx, cancel, cc, cs)
					synctest.Wait()

					tel.noneLeft(t)
					tel.idle(t)
					ended := tel.ended(trace.SpanKindClient)
					if len(ended) != spans {
						t.Fatalf("%d spans, want %d", len(ended), spans)
					}
					for _, span := range ended {
						if got := span.EndTime().Sub(span.StartTime()); got != tc.after {
							t.Errorf("span %s took %v, want %v", span.Name(), got, tc.after)
						}
					}
					checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{
						"rpc.response.status_code": tc.code, "outcome": tc.outcome,
					})
					if n := places.Snapshot().InFlight; n != 0 {
						t.Errorf("%d places taken after the end", n)
					}
				})
			})
		}
	}
}

func budget(t testing.TB, opts ...ctxutil.BudgetOption) ctxutil.Budget {
	t.Helper()
	b, err := ctxutil.NewBudget(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestStreamThatNeverOpens has a record too.
func TestStreamThatNeverOpens(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	cc := serve(t, &service{}, nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
	_ = cc.Close()
	if _, err := testgrpc.NewTestServiceClient(cc).FullDuplexCall(t.Context()); err == nil {
		t.Fatal("a stream over a closed connection")
	}
	tel.noneLeft(t)
	tel.idle(t)
	checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{"rpc.response.status_code": "CANCELLED"})
}

// TestRetriedStream: an interceptor below the record that opens a second
// stream when the first one fails makes one call of two.
func TestRetriedStream(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	failing := true
	server := &service{output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
		if failing {
			failing = false
			return status.Error(codes.Unavailable, "once more")
		}
		return ss.Send(&testgrpc.StreamingOutputCallResponse{})
	}}
	again := interceptors.ClientFuncs{
		Stream: func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			first, err := open(ctx, desc, cc, method, opts...)
			if err != nil {
				return nil, err
			}
			if err := first.SendMsg(&testgrpc.StreamingOutputCallRequest{}); err != nil {
				return nil, err
			}
			_ = first.CloseSend()
			if err := first.RecvMsg(&testgrpc.StreamingOutputCallResponse{}); err == nil {
				t.Error("the first stream did not fail")
			}
			return open(ctx, desc, cc, method, opts...)
		},
	}
	finished := 0
	cc := serve(t, server, nil, interceptors.DialOptions(interceptors.Record(tel.recorder),
		interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Minute))), interceptors.Attempts(tel.recorder), again))
	if err := callOutput(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.OnFinish(func(err error) {
		if finished++; err != nil {
			t.Errorf("finished with %v", err)
		}
	})); err != nil || finished != 1 {
		t.Fatalf("%v, told %d times that the call is over", err, finished)
	}
	if attempt := tel.ended(trace.SpanKindClient)[0]; attempt.Status().Code != otelcodes.Unset {
		t.Errorf("the attempt, which is one to who stands above, has status %v", attempt.Status())
	}
	tel.noneLeft(t)
	tel.idle(t)
	checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{
		"rpc.response.status_code": "OK", "messages_received": 1.0,
	})
}
