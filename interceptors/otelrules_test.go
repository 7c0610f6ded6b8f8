// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

// TestOTelGRPCEgress: the second engine tells no more than the first.
func TestOTelGRPCEgress(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		sdk          bool
		want         []string
	}{
		{"internal", "passthrough:///inventory", true, []string{"traceparent", "baggage"}},
		{"external", "passthrough:///api.example.com", true, nil},
		{"without SDK", "passthrough:///inventory", false, []string{"baggage", "x-trace-id"}},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				var opts []record.Option
				if !tc.sdk {
					opts = append(opts, record.WithTracerProvider(noop.NewTracerProvider()))
				}
				tel := newTelemetry(t, sdktrace.AlwaysSample(), opts...)
				var md metadata.MD
				cc := serveAt(t, tc.target, &service{handle: func(ctx context.Context) error {
					md, _ = metadata.FromIncomingContext(ctx)
					return nil
				}}, nil, interceptors.DialOptions(interceptors.Record(tel.recorder, interceptors.WithOTelGRPC())))
				if err := kind.call(baggage.ContextWithBaggage(t.Context(), bag(t, "user=42")), testgrpc.NewTestServiceClient(cc)); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, key := range []string{"traceparent", "tracestate", "baggage", "x-trace-id", "x-request-id"} {
					if len(md.Get(key)) > 0 {
						got = append(got, key)
					}
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("sent %v, want %v", got, tc.want)
				}
			})
		}
	}
}

// TestOTelGRPCIdentity: which of a caller's ids becomes what is the record's
// rule with either engine, and what handlers add is on otelgrpc's span.
func TestOTelGRPCIdentity(t *testing.T) {
	const uuid, hex32 = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"
	for _, tc := range []struct {
		name    string
		headers []string
		ingress ctxutil.Ingress
		traceID string
		links   int
	}{
		{name: "traceparent", headers: []string{"traceparent", callersTraceparent}, traceID: callersTrace},
		{name: "a UUID", headers: []string{"x-trace-id", uuid}, traceID: hex32},
		{name: "rubbish", headers: []string{"traceparent", strings.ToUpper(callersTraceparent), "baggage", "=;=,%zz"}},
		{name: "a stranger", headers: []string{"traceparent", callersTraceparent, "baggage", "user=42"}, ingress: ctxutil.Public, links: 1},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithIngress(tc.ingress))
				var members int
				cc := serve(t, &service{handle: func(ctx context.Context) error {
					ctxutil.Add(ctx, slog.String("order_id", "o-1"))
					members = baggage.FromContext(ctx).Len()
					return nil
				}}, interceptors.ServerOptions(interceptors.Record(tel.recorder, interceptors.WithOTelGRPC()), interceptors.Recovery()), nil)
				ctx := metadata.AppendToOutgoingContext(t.Context(), append(tc.headers, "x-request-id", "req-7")...)
				var header metadata.MD
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header)); err != nil {
					t.Fatal(err)
				}
				waitFor(t, func() bool { return len(tel.spans.Ended()) == 1 })
				span := tel.one(t, trace.SpanKindServer)
				id := span.SpanContext().TraceID().String()
				if tc.traceID != "" && id != tc.traceID || tc.traceID == "" && id == callersTrace {
					t.Errorf("trace id %s, want %q", id, tc.traceID)
				}
				if len(span.Links()) != tc.links || tc.links == 1 && span.Parent().IsValid() {
					t.Errorf("%d links under %v, want %d", len(span.Links()), span.Parent(), tc.links)
				}
				if members != 0 {
					t.Errorf("%d baggage members got in", members)
				}
				if got := attrsOf(span)["order_id"].AsString(); got != "o-1" {
					t.Errorf("order_id on the span = %q", got)
				}
				if span.InstrumentationScope().Name != otelgrpc.ScopeName {
					t.Errorf("the span is by %s", span.InstrumentationScope().Name)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
					"trace_id": id, "span_id": span.SpanContext().SpanID().String(), "request_id": "req-7", "order_id": "o-1",
				})
				if !slices.Equal(header.Get("x-trace-id"), []string{id}) {
					t.Errorf("answered x-trace-id %q, want %s", header.Get("x-trace-id"), id)
				}
			})
		}
	}
}

// TestOTelGRPCRootCall: a call that no span is around is the root of a trace,
// sampled as any root is, and its log line is in that trace.
func TestOTelGRPCRootCall(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			tel := newTelemetry(t, sdktrace.ParentBased(sdktrace.AlwaysSample()))
			rec := interceptors.Record(tel.recorder, interceptors.WithOTelGRPC())
			cc := serve(t, &service{}, interceptors.ServerOptions(rec), interceptors.DialOptions(rec))
			if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return len(tel.spans.Ended()) == 2 })
			client, server := tel.one(t, trace.SpanKindClient), tel.one(t, trace.SpanKindServer)
			if client.Parent().SpanID().IsValid() || server.Parent().SpanID() != client.SpanContext().SpanID() {
				t.Errorf("client under %v, server under %v", client.Parent(), server.Parent())
			}
			for _, msg := range []string{"rpc client call", "rpc server call"} {
				checkLine(t, tel.logs.withMessage(t, msg), map[string]any{"trace_id": client.SpanContext().TraceID().String()})
			}
		})
	}
}

// TestOTelGRPCByHand: a chain put together by hand takes up the spans of the
// stats handler the server has.
func TestOTelGRPCByHand(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	theirs := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(theirs))
	rec := interceptors.Record(tel.recorder, interceptors.WithOTelGRPC())
	cc := serve(t, &service{}, []grpc.ServerOption{
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(provider))),
		grpc.ChainUnaryInterceptor(rec.UnaryServer()), grpc.ChainStreamInterceptor(rec.StreamServer()),
	}, nil)
	if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(theirs.Ended()) == 1 })
	if n := len(tel.spans.Started()); n != 0 {
		t.Errorf("%d spans of the record's own", n)
	}
	checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
		"span_id": theirs.Ended()[0].SpanContext().SpanID().String(),
	})
}

// TestOTelGRPCMeasuresNothingUnasked: metrics stay the record's.
func TestOTelGRPCMeasuresNothingUnasked(t *testing.T) {
	tel, measured := newTelemetry(t, sdktrace.AlwaysSample()), &measurements{}
	for _, opts := range [][]otelgrpc.Option{nil, {otelgrpc.WithMeterProvider(measured)}} {
		rec := interceptors.Record(tel.recorder, interceptors.WithOTelGRPC(opts...))
		cc := serve(t, &service{}, interceptors.ServerOptions(rec), interceptors.DialOptions(rec))
		if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Fatal(err)
		}
		want := 0
		if len(opts) > 0 {
			want = 2
		}
		waitFor(t, func() bool { return measured.count() >= want })
		if got := measured.count(); got != want {
			t.Errorf("%d measurements, want %d", got, want)
		}
	}
}

// TestEnginesAgreeOnOldNames: OTEL_SEMCONV_STABILITY_OPT_IN means the same to
// both, but that otelgrpc has the new name of the status code under old ones.
func TestEnginesAgreeOnOldNames(t *testing.T) {
	for _, mode := range []string{"", "rpc", "rpc/dup", "rpc/old", "http/dup,rpc/dup", "nonsense"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("OTEL_SEMCONV_STABILITY_OPT_IN", mode)
			for _, side := range []trace.SpanKind{trace.SpanKindServer, trace.SpanKindClient} {
				ours, theirs := namesOf(t, side, 0), namesOf(t, side, 1)
				if strings.Contains(mode, "/old") || strings.Contains(mode, "/dup") {
					if ours["rpc.grpc.status_code"] != "5" {
						t.Errorf("%v: rpc.grpc.status_code = %q, want 5", side, ours["rpc.grpc.status_code"])
					}
					delete(ours, "rpc.grpc.status_code")
				}
				if strings.Contains(mode, "/old") {
					delete(theirs, "rpc.response.status_code")
				}
				if diff := cmp.Diff(ours, theirs); diff != "" {
					t.Errorf("%v (-ours +otelgrpc):\n%s", side, diff)
				}
			}
		})
	}
}

// namesOf returns the rpc attributes and the name of a span of a call to
// something that was not found.
func namesOf(t *testing.T, side trace.SpanKind, engine int) map[string]string {
	t.Helper()
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	rec := interceptors.Record(tel.recorder, engines[engine].options(&measurements{})...)
	cc := serve(t, &service{handle: fail(codes.NotFound, "no such sku")}, interceptors.ServerOptions(rec), interceptors.DialOptions(rec))
	_ = callUnary(t.Context(), testgrpc.NewTestServiceClient(cc))
	waitFor(t, func() bool { return len(tel.spans.Ended()) == 2 })
	span := tel.one(t, side)
	names := map[string]string{"span": span.Name()}
	for k, v := range attrsOf(span) {
		if strings.HasPrefix(string(k), "rpc.") {
			names[string(k)] = v.Emit()
		}
	}
	return names
}
