// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
)

const secret = "dsn=postgres://u:hunter2@10.0.0.7/db"

// panicking returns a service that panics at each point of every kind of call
// that name says.
func panicking(point string) *service {
	if point == "at the end" {
		return &service{handle: func(context.Context) error { panic(secret) }}
	}
	return &service{
		unary: func(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) { panic(secret) },
		input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
			panic(secret)
		},
		output: func(testgrpc.TestService_StreamingOutputCallServer) error { panic(secret) },
		duplex: func(testgrpc.TestService_FullDuplexCallServer) error { panic(secret) },
	}
}

// TestPanicIsRecordedAndKeptFromThePeer: before the first message of a stream
// and after the last, the value and the stack are on the span and in the log,
// the panic is counted, and the peer learns nothing.
func TestPanicIsRecordedAndKeptFromThePeer(t *testing.T) {
	for _, chain := range serverChains {
		for _, point := range []string{"at once", "at the end"} {
			for _, kind := range callKinds {
				t.Run(chain.name+"/"+point+"/"+kind.name, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, panicking(point), chain.options(interceptors.Record(tel.recorder), interceptors.Recovery()), nil)
					err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
					checkInternalError(t, err)
					checkPanicRecorded(t, tel)
				})
			}
		}
	}
}

// checkInternalError holds what is on the wire to the fixed message.
func checkInternalError(t *testing.T, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.Internal || st.Message() != "internal error" || len(st.Proto().GetDetails()) != 0 {
		t.Errorf("the peer got %v, want Internal, \"internal error\" and no details", st.Proto())
	}
}

func checkPanicRecorded(t *testing.T, tel *telemetry) {
	t.Helper()
	tel.noneLeft(t)
	tel.idle(t)
	span := tel.one(t, trace.SpanKindServer)
	if len(span.Events()) != 1 || span.Events()[0].Name != "exception" {
		t.Fatalf("span events: %v, want one exception", span.Events())
	}
	event := map[string]string{}
	for _, kv := range span.Events()[0].Attributes {
		event[string(kv.Key)] = kv.Value.AsString()
	}
	if event["exception.message"] != secret || event["exception.type"] != "string" ||
		!strings.Contains(event["exception.stacktrace"], "panic_test.go") {
		t.Errorf("exception event: %v", event)
	}
	line := tel.logs.withMessage(t, "rpc server call")
	if stack, _ := line["stack"].(string); line["panic"] != secret || !strings.Contains(stack, "panic_test.go") || line["level"] != "ERROR" {
		t.Errorf("log line: %v", line)
	}
	panics := tel.family(t, "fairlead_panics_total")
	if len(panics) != 1 || panics[0].GetCounter().GetValue() != 1 || label(panics[0], "source") != "grpc" {
		t.Errorf("fairlead_panics_total: %v, want 1 of grpc", panics)
	}
}

// caught is a recovery of somebody else's, outside of the record.
func caught(value *any) interceptors.ServerFuncs {
	return interceptors.ServerFuncs{
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
			defer func() { *value, err = recover(), status.Error(codes.Internal, "caught") }()
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer func() { *value, err = recover(), status.Error(codes.Internal, "caught") }()
			return next(srv, ss)
		},
	}
}

// TestPanicWithoutRecoveryIsRecordedAndGoesOn.
func TestPanicWithoutRecoveryIsRecordedAndGoesOn(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			var value any
			cc := serve(t, panicking("at the end"), interceptors.ServerOptions(caught(&value), interceptors.Record(tel.recorder)), nil)
			if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); status.Convert(err).Message() != "caught" {
				t.Fatalf("err = %v, want that of the recovery around the record", err)
			}
			if value != secret {
				t.Errorf("the panic went on as %v, want its value", value)
			}
			checkPanicRecorded(t, tel)
		})
	}
}

// TestRecoveryAlone logs what no record does.
func TestRecoveryAlone(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			var out bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&out, nil))
			cc := serve(t, panicking("at the end"), interceptors.ServerOptions(interceptors.Recovery(interceptors.WithPanicLogger(logger))), nil)
			checkInternalError(t, kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)))
			if got := out.String(); !strings.Contains(got, "panic recovered") || !strings.Contains(got, secret) || !strings.Contains(got, "panic_test.go") {
				t.Errorf("log: %s", got)
			}
		})
	}
}

// TestPanicAnswer: the answer is the user's, or the default if that is none.
func TestPanicAnswer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(context.Context, any) error
		want   *status.Status
	}{
		{"of the user's", func(_ context.Context, v any) error {
			return status.Errorf(codes.Unavailable, "a %T is down", v)
		}, status.New(codes.Unavailable, "a string is down")},
		{"nil", func(context.Context, any) error { return nil }, status.New(codes.Internal, "internal error")},
		{"another panic", func(context.Context, any) error { panic("again") }, status.New(codes.Internal, "internal error")},
		{"none", nil, status.New(codes.Internal, "internal error")},
	} {
		for _, chain := range serverChains {
			t.Run(tc.name+"/"+chain.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, panicking("at the end"), chain.options(
					interceptors.Record(tel.recorder), interceptors.Recovery(interceptors.WithPanicAnswer(tc.answer))), nil)
				for _, kind := range callKinds {
					err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
					if got := status.Convert(err); got.Code() != tc.want.Code() || got.Message() != tc.want.Message() {
						t.Errorf("%s: err = %v, want %v", kind.name, err, tc.want)
					}
				}
				tel.noneLeft(t)
				tel.idle(t)
			})
		}
	}
}

// TestGoexit: a handler that ends its goroutine is answered by nobody, but its
// record is finished.
func TestGoexit(t *testing.T) {
	for _, chain := range serverChains {
		for _, kind := range callKinds {
			t.Run(chain.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, &service{handle: func(context.Context) error { runtime.Goexit(); return nil }},
						chain.options(interceptors.Record(tel.recorder), interceptors.Recovery()), nil)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc)); status.Code(err) != codes.DeadlineExceeded {
						t.Errorf("err = %v, want the client's own deadline", err)
					}
					synctest.Wait()
					tel.noneLeft(t)
					tel.idle(t)
					checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
						"level": "ERROR", "rpc.response.status_code": "INTERNAL", "error": "the handler ended its goroutine", "duration_ms": 0.0,
					})
				})
			})
		}
	}
}

// TestPanicOnTheClient: a panic of an interceptor below the record goes on, and
// leaves no span behind.
func TestPanicOnTheClient(t *testing.T) {
	boom := interceptors.ClientFuncs{
		Unary: func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			panic(errors.New("boom"))
		},
		Stream: func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
			panic(errors.New("boom"))
		},
	}
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample())
			cc := serve(t, &service{}, nil, interceptors.DialOptions(interceptors.Record(tel.recorder), boom))
			func() {
				defer func() {
					if v := recover(); v == nil {
						t.Error("the panic did not go on")
					}
				}()
				_ = kind.call(t.Context(), testgrpc.NewTestServiceClient(cc))
			}()
			tel.noneLeft(t)
			tel.idle(t)
		})
	}
}
