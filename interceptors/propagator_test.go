// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/record"
)

// oddPropagator carries the span in a header of its own, and a tenant.
type oddPropagator struct{}

type tenantKey struct{}

func (oddPropagator) Inject(ctx context.Context, c propagation.TextMapCarrier) {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		c.Set("x-odd", sc.TraceID().String()+sc.SpanID().String())
	}
	if tenant, ok := ctx.Value(tenantKey{}).(string); ok {
		c.Set("x-odd-tenant", tenant)
	}
}

func (oddPropagator) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	if tenant := c.Get("x-odd-tenant"); tenant != "" {
		ctx = context.WithValue(ctx, tenantKey{}, tenant)
	}
	v := c.Get("x-odd")
	if len(v) != 48 {
		return ctx
	}
	tid, err1 := trace.TraceIDFromHex(v[:32])
	sid, err2 := trace.SpanIDFromHex(v[32:])
	if err1 != nil || err2 != nil {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: tid, SpanID: sid, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
}

func (oddPropagator) Fields() []string { return []string{"x-odd", "x-odd-tenant"} }

// TestOtherPropagators: identity in another format than W3C's travels, alone
// and beside W3C's, and so does what else such a propagator carries.
func TestOtherPropagators(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    propagation.TextMapPropagator
		w3c  bool
	}{
		{"alone", oddPropagator{}, false},
		{"beside W3C", propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, oddPropagator{}), true},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithPropagator(tc.p))
				var md metadata.MD
				var tenant any
				inner := dialHop(t, tel, tel, "passthrough:///inner", func(ctx context.Context) {
					md, _ = metadata.FromIncomingContext(ctx)
					tenant = ctx.Value(tenantKey{})
				})
				outer := hop(t, tel, "passthrough:///outer", inner, kind, nil)
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-odd", callersTrace+"00f067aa0ba902b7", "x-odd-tenant", "acme")
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(outer)); err != nil {
					t.Fatal(err)
				}
				servers, client := tel.ended(trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
				for _, s := range append(servers, client) {
					if s.SpanContext().TraceID().String() != callersTrace {
						t.Errorf("span %s is in trace %v, want %s", s.Name(), s.SpanContext().TraceID(), callersTrace)
					}
				}
				// The inner one ends first.
				if got, want := servers[0].Parent().SpanID(), client.SpanContext().SpanID(); got != want {
					t.Errorf("the inner span's parent is %v, want the client span %v", got, want)
				}
				if got := len(md.Get("traceparent")); (got == 1) != tc.w3c {
					t.Errorf("%d traceparent headers beside x-odd", got)
				}
				if tenant != "acme" {
					t.Errorf("tenant %v, want acme", tenant)
				}
			})
		}
	}
}

// TestOtherPropagatorsWithoutSDK: an identity that no tracer knows is told in no
// tracer's format, which would say that somebody decided against sampling; what
// else a propagator carries is.
func TestOtherPropagatorsWithoutSDK(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, nil, record.WithTracerProvider(noop.NewTracerProvider()), record.WithPropagator(oddPropagator{}))
			var md metadata.MD
			cc := dialHop(t, tel, tel, "passthrough:///inventory", func(ctx context.Context) { md, _ = metadata.FromIncomingContext(ctx) })
			ctx := context.WithValue(t.Context(), tenantKey{}, "acme")
			if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc)); err != nil {
				t.Fatal(err)
			}
			if len(md.Get("x-odd")) != 0 || len(md.Get("x-trace-id")) != 1 || !slices.Equal(md.Get("x-odd-tenant"), []string{"acme"}) {
				t.Errorf("sent %v", md)
			}
		})
	}
}
