// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
)

// plain is a logger that redacts nothing and adds nothing itself.
func plain(out *lines, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

// logged is what PayloadLog writes of m, as received by a server.
func logged(t *testing.T, m any, opts ...interceptors.PayloadOption) map[string]any {
	t.Helper()
	var out lines
	p := interceptors.PayloadLog(plain(&out, slog.LevelDebug), opts...)
	_, err := p.UnaryServer()(t.Context(), m, &grpc.UnaryServerInfo{FullMethod: "/shop.Order/Place"},
		func(context.Context, any) (any, error) { return nil, context.Canceled })
	if err != context.Canceled {
		t.Fatalf("err = %v, want the handler's", err)
	}
	return out.withMessage(t, interceptors.MessagePayload)
}

// TestPayloadsOfEveryKind: each message is one line on each side, with the ids
// of its call, and what a call ends with when it fails is none.
func TestPayloadsOfEveryKind(t *testing.T) {
	for _, kind := range callKinds {
		for _, failing := range []bool{false, true} {
			name := kind.name
			s := &service{}
			if failing {
				name += "/failing"
				s.handle = fail(codes.NotFound, "no such sku")
			}
			t.Run(name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				show := interceptors.PayloadLog(tel.logger)
				cc := serve(t, s, interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(), show),
					interceptors.DialOptions(interceptors.Record(tel.recorder), show))
				if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); (err != nil) != failing {
					t.Fatal(err)
				}
				sent, received := kind.sent, kind.received
				if failing {
					received = kind.receivedFailing
				}
				if kind.name == "unary" {
					sent, received = 1, 1
					if failing {
						received = 0
					}
				}
				spans := map[any]any{}
				for _, line := range tel.logs.all(t) {
					if msg, _ := line["msg"].(string); msg != interceptors.MessagePayload {
						spans[strings.Fields(msg)[1]] = line["span_id"]
					}
				}
				got := map[string]float64{}
				for _, line := range tel.logs.all(t) {
					if line["msg"] != interceptors.MessagePayload {
						continue
					}
					key := line["side"].(string) + " " + line["direction"].(string)
					got[key]++
					if n := line["message_number"]; kind.name != "unary" && n != got[key] || kind.name == "unary" && n != nil {
						t.Errorf("%s: message_number %v, want %v", key, n, got[key])
					}
					if line["span_id"] != spans[line["side"]] || line["level"] != "DEBUG" || line["rpc.method"] != kind.method {
						t.Errorf("line %v, want the ids of the %v's span %v", line, line["side"], spans[line["side"]])
					}
				}
				want := map[string]float64{"client sent": sent, "server received": sent}
				if received > 0 {
					want["client received"], want["server sent"] = received, received
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("messages logged (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestPayloadsAreOff at info level, but for a request that asks for them.
func TestPayloadsAreOff(t *testing.T) {
	var out lines
	logger := slog.New(logging.NewHandler(slog.NewJSONHandler(&out, nil)))
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	for _, kind := range callKinds {
		for _, asked := range []bool{false, true} {
			out.buf.Reset()
			level := interceptors.ServerFuncs{
				Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
					if asked {
						ctxutil.SetLevel(ctx, slog.LevelDebug)
					}
					return next(ctx, req)
				},
				Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
					if asked {
						ctxutil.SetLevel(ss.Context(), slog.LevelDebug)
					}
					return next(srv, ss)
				},
			}
			cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.Record(tel.recorder), level, interceptors.PayloadLog(logger)), nil)
			if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
				t.Fatal(err)
			}
			if got := len(out.all(t)) > 0; got != asked {
				t.Errorf("%s: messages logged: %v, want %v", kind.name, got, asked)
			}
		}
	}
}

// TestPayloadsOfUnknownMethods: a proxy's calls, whose method is the peer's text.
func TestPayloadsOfUnknownMethods(t *testing.T) {
	var out lines
	proxy := grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		return ss.RecvMsg(&testgrpc.Empty{})
	})
	cc := serve(t, &service{}, append(interceptors.ServerOptions(interceptors.PayloadLog(plain(&out, slog.LevelDebug))), proxy), nil)
	_ = cc.Invoke(t.Context(), "/no.such/Method", &testgrpc.Empty{}, &testgrpc.Empty{})
	if got := out.withMessage(t, interceptors.MessagePayload)["rpc.method"]; got != "_OTHER" {
		t.Errorf("rpc.method = %v, want _OTHER", got)
	}
}
