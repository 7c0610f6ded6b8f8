// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// TestEgress: identity, baggage and forwarded headers go to hosts that may be
// told, and to no others; what the caller itself puts on a call always does.
func TestEgress(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"x-tenant"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		target string
		told   bool
	}{
		{"passthrough:///inventory", true},
		{"passthrough:///10.1.2.3:443", true},
		{"passthrough:///api.example.com:443", false},
	} {
		for _, kind := range callKinds {
			t.Run(tc.target+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithForward(forward))
				var md metadata.MD
				server := &service{handle: func(ctx context.Context) error {
					md, _ = metadata.FromIncomingContext(ctx)
					return nil
				}}
				outside := serveAt(t, tc.target, server, nil, interceptors.DialOptions(interceptors.Record(tel.recorder)))
				gateway := hop(t, tel, "passthrough:///gateway", nil, kind, func(ctx context.Context) {
					ctx = metadata.AppendToOutgoingContext(ctx, "x-own", "1")
					if err := kind.call(ctx, testgrpc.NewTestServiceClient(outside)); err != nil {
						t.Error(err)
					}
				})
				ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", callersTraceparent,
					"tracestate", "v=1", "baggage", "user=42", "x-request-id", "req-7", "x-tenant", "acme", "x-other", "stays")
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(gateway)); err != nil {
					t.Fatal(err)
				}
				client := tel.one(t, trace.SpanKindClient)
				want := map[string]string{}
				if tc.told {
					want = map[string]string{
						"traceparent": "00-" + callersTrace + "-" + client.SpanContext().SpanID().String() + "-01",
						"tracestate":  "v=1", "baggage": "user=42", "x-request-id": "req-7", "x-tenant": "acme",
					}
				}
				want["x-own"] = "1"
				for _, key := range []string{"traceparent", "tracestate", "baggage", "x-request-id", "x-trace-id", "x-tenant", "x-other", "x-own"} {
					if got := strings.Join(md.Get(key), ","); got != want[key] {
						t.Errorf("%s was sent as %q, want %q", key, got, want[key])
					}
				}
			})
		}
	}
}

// TestOneTraceparent: somebody who forwards all metadata does not make two
// identities of one, and goes before the forwarded headers.
func TestOneTraceparent(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"x-tenant"})
	if err != nil {
		t.Fatal(err)
	}
	tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithForward(forward))
	var md metadata.MD
	inner := dialHop(t, tel, tel, "passthrough:///inner", func(ctx context.Context) { md, _ = metadata.FromIncomingContext(ctx) })
	outer := hop(t, tel, "passthrough:///outer", nil, callKinds[0], func(ctx context.Context) {
		all, _ := metadata.FromIncomingContext(ctx)
		all.Set("x-tenant", "other")
		if err := callUnary(metadata.NewOutgoingContext(ctx, all), testgrpc.NewTestServiceClient(inner)); err != nil {
			t.Error(err)
		}
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", callersTraceparent, "x-tenant", "acme", "x-request-id", "r")
	if err := callUnary(ctx, testgrpc.NewTestServiceClient(outer)); err != nil {
		t.Fatal(err)
	}
	client := tel.one(t, trace.SpanKindClient)
	for key, want := range map[string]string{
		"traceparent": "00-" + callersTrace + "-" + client.SpanContext().SpanID().String() + "-01",
		"x-tenant":    "other", "x-request-id": "r",
	} {
		if got := md.Get(key); !slices.Equal(got, []string{want}) {
			t.Errorf("%s was sent as %q, want %q", key, got, want)
		}
	}
}

// TestForwardOverTwoHops: headers on the list travel through a hop whose
// handler does not know of them; others stop there.
func TestForwardOverTwoHops(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"x-tenant", "x-key-bin"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithForward(forward))
			var md metadata.MD
			last := dialHop(t, tel, tel, "passthrough:///last", func(ctx context.Context) { md, _ = metadata.FromIncomingContext(ctx) })
			middle := serve(t, &service{handle: func(ctx context.Context) error {
				return kind.call(ctx, testgrpc.NewTestServiceClient(last))
			}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), interceptors.DialOptions(interceptors.Record(tel.recorder)))
			first := hop(t, tel, "passthrough:///first", middle, kind, nil)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", "acme", "x-tenant", "emca", "x-key-bin", "\x00\xff", "x-other", "1")
			if err := kind.call(ctx, testgrpc.NewTestServiceClient(first)); err != nil {
				t.Fatal(err)
			}
			if got := md.Get("x-tenant"); !slices.Equal(got, []string{"acme", "emca"}) {
				t.Errorf("x-tenant = %q, want both values", got)
			}
			if got := md.Get("x-key-bin"); !slices.Equal(got, []string{"\x00\xff"}) {
				t.Errorf("x-key-bin = %q, want the bytes", got)
			}
			if got := md.Get("x-other"); len(got) != 0 {
				t.Errorf("x-other = %q, which is not on the list", got)
			}
		})
	}
}

// TestPublicIngress: a stranger's trace is linked, not continued, and its
// baggage and business headers are dropped.
func TestPublicIngress(t *testing.T) {
	forward, err := ctxutil.NewForward([]string{"x-tenant"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithIngress(ctxutil.Public), record.WithForward(forward))
			var bag baggage.Baggage
			var forwarded []ctxutil.Header
			cc := hop(t, tel, "passthrough:///edge", nil, kind, func(ctx context.Context) {
				bag, forwarded = baggage.FromContext(ctx), ctxutil.Forwarded(ctx)
			})
			var header metadata.MD
			ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", callersTraceparent,
				"baggage", "user=42", "x-request-id", "req-7", "x-tenant", "acme")
			if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header)); err != nil {
				t.Fatal(err)
			}
			span := tel.one(t, trace.SpanKindServer)
			if span.SpanContext().TraceID().String() == callersTrace || span.Parent().IsValid() {
				t.Errorf("the stranger's trace was continued: %v under %v", span.SpanContext(), span.Parent())
			}
			if len(span.Links()) != 1 || span.Links()[0].SpanContext.TraceID().String() != callersTrace {
				t.Errorf("links: %v, want one to the stranger's span", span.Links())
			}
			if bag.Len() != 0 || len(forwarded) != 0 {
				t.Errorf("baggage %v and headers %v got in", bag, forwarded)
			}
			if got := header.Get("x-request-id"); !slices.Equal(got, []string{"req-7"}) {
				t.Errorf("answered x-request-id %q, want req-7", got)
			}
		})
	}
}
