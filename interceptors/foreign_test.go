// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	ggminterceptors "github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/realip"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

type userKey struct{}

// swapping is an interceptor of somebody else's that gives the handler another
// context: with a value, and with a shorter deadline.
var swapping = interceptors.ServerFuncs{
	Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, userKey{}, "u"), time.Minute)
		defer cancel()
		return next(ctx, req)
	},
	Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, cancel := context.WithTimeout(context.WithValue(ss.Context(), userKey{}, "u"), time.Minute)
		defer cancel()
		return next(srv, &middleware.WrappedServerStream{ServerStream: ss, WrappedContext: ctx})
	},
}

// TestSwappedContextKeepsIdentity: wherever in the chain somebody swaps the
// request's context, span, deadline, attributes and record are those of the
// call, also for calls made from the handler.
func TestSwappedContextKeepsIdentity(t *testing.T) {
	for _, place := range []string{"outside", "between", "inside"} {
		for _, kind := range callKinds {
			t.Run(place+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				rec, recovery := interceptors.Record(tel.recorder), interceptors.Recovery()
				limit := interceptors.Deadline(budget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Hour)))
				chain := map[string][]interceptors.ServerInterceptor{
					"outside": {swapping, rec, recovery, limit},
					"between": {rec, swapping, recovery, limit},
					"inside":  {rec, recovery, limit, swapping},
				}[place]
				next := dialHop(t, tel, newTelemetry(t, sdktrace.AlwaysSample()), "passthrough:///next", nil)
				cc := serve(t, &service{handle: func(ctx context.Context) error {
					if ctx.Value(userKey{}) != "u" {
						t.Error("the value of the swapped context is lost")
					}
					if left, ok := ctxutil.Remaining(ctx); !ok || left > time.Minute {
						t.Errorf("%v left, want the deadline of the swapped context", left)
					}
					ctxutil.Add(ctx, slog.String("order_id", "o-1"))
					tel.logger.InfoContext(ctx, "from the handler")
					if record.FromContext(ctx) == nil {
						t.Error("no record")
					}
					return callUnary(ctx, testgrpc.NewTestServiceClient(next))
				}}, interceptors.ServerOptions(chain...), nil)
				if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
					t.Fatal(err)
				}
				server, client := tel.one(t, trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
				if client.Parent().SpanID() != server.SpanContext().SpanID() {
					t.Errorf("the span of the call made is under %v, want %v", client.Parent(), server.SpanContext())
				}
				if got := attrsOf(server)["order_id"].AsString(); got != "o-1" {
					t.Errorf("order_id on the span = %q", got)
				}
				for _, msg := range []string{"from the handler", "rpc server call"} {
					checkLine(t, tel.logs.withMessage(t, msg), map[string]any{
						"trace_id": server.SpanContext().TraceID().String(), "span_id": server.SpanContext().SpanID().String(), "order_id": "o-1",
					})
				}
			})
		}
	}
}

// TestGoGRPCMiddleware: its selector, auth and realip work inside our chain,
// see the call's context, and what they refuse is recorded.
func TestGoGRPCMiddleware(t *testing.T) {
	authenticate := func(ctx context.Context) (context.Context, error) {
		token, err := auth.AuthFromMD(ctx, "bearer")
		if err != nil {
			return nil, err
		}
		if record.FromContext(ctx) == nil {
			t.Error("auth runs outside of the record")
		}
		if token != "good" {
			return nil, status.Error(codes.Unauthenticated, "bad token")
		}
		ctxutil.Add(ctx, slog.String("user", "u-1"))
		return context.WithValue(ctx, userKey{}, "u-1"), nil
	}
	// The health service needs no token; here it is the method of the test.
	but := func(method string) selector.Matcher {
		return selector.MatchFunc(func(_ context.Context, c ggminterceptors.CallMeta) bool { return c.FullMethod() != "/"+method })
	}
	for _, kind := range callKinds {
		for _, tc := range []struct {
			name, token string
			skip        bool
			code        codes.Code
		}{
			{name: "good token", token: "good"},
			{name: "bad token", token: "bad", code: codes.Unauthenticated},
			{name: "no token", code: codes.Unauthenticated},
			{name: "not selected", skip: true},
		} {
			t.Run(kind.name+"/"+tc.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				match := but("nobody")
				if tc.skip {
					match = but(kind.method)
				}
				guard := interceptors.ServerFuncs{
					Unary:  selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(authenticate), match),
					Stream: selector.StreamServerInterceptor(auth.StreamServerInterceptor(authenticate), match),
				}
				opts := []realip.Option{realip.WithTrustedPeers([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}), realip.WithHeaders([]string{realip.XRealIp})}
				address := interceptors.ServerFuncs{
					Unary:  realip.UnaryServerInterceptorOpts(opts...),
					Stream: realip.StreamServerInterceptorOpts(opts...),
				}
				var user any
				var ip netip.Addr
				cc := serveTCP(t, &service{handle: func(ctx context.Context) error {
					user = ctx.Value(userKey{})
					ip, _ = realip.FromContext(ctx)
					return nil
				}}, interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(), address, guard), nil)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-real-ip", "203.0.113.9")
				if tc.token != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "bearer "+tc.token)
				}
				err := kind.call(ctx, testgrpc.NewTestServiceClient(cc))
				if status.Code(err) != tc.code {
					t.Fatalf("err = %v, want %v", err, tc.code)
				}
				tel.noneLeft(t)
				tel.idle(t)
				line := tel.logs.withMessage(t, "rpc server call")
				if tc.code != codes.OK {
					checkLine(t, line, map[string]any{"rpc.response.status_code": "UNAUTHENTICATED", "outcome": "client_fault"})
					return
				}
				want := any("u-1")
				if tc.skip {
					want = nil
				}
				if user != want || line["user"] != want {
					t.Errorf("user in the handler %v, in the log %v, want %v", user, line["user"], want)
				}
				if want := netip.MustParseAddr("203.0.113.9"); ip != want {
					t.Errorf("realip found %v, want %v", ip, want)
				}
			})
		}
	}
}
