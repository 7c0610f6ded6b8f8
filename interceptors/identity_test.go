// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
)

const (
	callersTrace       = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersTraceparent = "00-" + callersTrace + "-00f067aa0ba902b7-01"
)

// hop is one service that records with tel and calls the next one.
func hop(t *testing.T, tel *telemetry, target string, next *grpc.ClientConn, kind callKind, see func(context.Context)) *grpc.ClientConn {
	t.Helper()
	return serveAt(t, target, &service{handle: func(ctx context.Context) error {
		if see != nil {
			see(ctx)
		}
		if next == nil {
			return nil
		}
		return kind.call(ctx, testgrpc.NewTestServiceClient(next))
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)),
		// The connection to a hop belongs to whoever calls it.
		nil)
}

// dialHop is hop, with the record of a caller on the connection.
func dialHop(t *testing.T, caller, tel *telemetry, target string, see func(context.Context)) *grpc.ClientConn {
	t.Helper()
	return serveAt(t, target, &service{handle: func(ctx context.Context) error {
		if see != nil {
			see(ctx)
		}
		return nil
	}}, interceptors.ServerOptions(interceptors.Record(tel.recorder)), interceptors.DialOptions(interceptors.Record(caller.recorder)))
}

// TestIncomingIdentity: which of a caller's ids becomes what, and is answered.
func TestIncomingIdentity(t *testing.T) {
	const uuid, hex32 = "6BA7B810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"
	for _, tc := range []struct {
		name        string
		headers     []string
		traceID     string // "" for a new one
		parent      string // of the server's span
		correlation string // answered as x-request-id
	}{
		{name: "nothing"},
		{name: "traceparent", headers: []string{"traceparent", callersTraceparent}, traceID: callersTrace, parent: "00f067aa0ba902b7"},
		{name: "traceparent goes before x-trace-id", headers: []string{"traceparent", callersTraceparent, "x-trace-id", uuid}, traceID: callersTrace, parent: "00f067aa0ba902b7"},
		{name: "a UUID", headers: []string{"x-trace-id", uuid}, traceID: hex32},
		{name: "32 hex digits", headers: []string{"x-trace-id", hex32}, traceID: hex32},
		{name: "another id", headers: []string{"x-trace-id", "order-17"}, correlation: "order-17"},
		{name: "an unsafe id", headers: []string{"x-trace-id", "order 17"}},
		{name: "a request id", headers: []string{"x-request-id", "req-7"}, correlation: "req-7"},
		{name: "an unsafe request id", headers: []string{"x-request-id", "req 7"}},
		{name: "both", headers: []string{"x-trace-id", uuid, "x-request-id", "req-7"}, traceID: hex32, correlation: "req-7"},
		{name: "a request id goes before another id", headers: []string{"x-trace-id", "order-17", "x-request-id", "req-7"}, correlation: "req-7"},
		{name: "a bad traceparent and a UUID", headers: []string{"traceparent", "00-1-2-3", "x-trace-id", uuid}, traceID: hex32},
		{name: "two request ids", headers: []string{"x-request-id", "far", "x-request-id", "near"}, correlation: "near"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				var seen ctxutil.Identity
				cc := hop(t, tel, "passthrough:///inventory", nil, kind, func(ctx context.Context) { seen = ctxutil.IdentityFrom(ctx) })
				var header metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), tc.headers...)
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header)); err != nil {
					t.Fatal(err)
				}
				span := tel.one(t, trace.SpanKindServer)
				traceID := span.SpanContext().TraceID().String()
				if tc.traceID != "" && traceID != tc.traceID {
					t.Errorf("trace id %s, want %s", traceID, tc.traceID)
				}
				if tc.traceID == "" && traceID == callersTrace {
					t.Errorf("trace id %s is the caller's", traceID)
				}
				if got := span.Parent().SpanID(); tc.parent == "" && got.IsValid() || tc.parent != "" && got.String() != tc.parent {
					t.Errorf("parent %v, want %q", got, tc.parent)
				}
				if seen.TraceID() != traceID || seen.CorrelationID != tc.correlation {
					t.Errorf("the handler saw %s and %q, want %s and %q", seen.TraceID(), seen.CorrelationID, traceID, tc.correlation)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc server call"), map[string]any{
					"trace_id": traceID, "request_id": orNil(tc.correlation),
				})
				if got := header.Get("x-trace-id"); !slices.Equal(got, []string{traceID}) {
					t.Errorf("answered x-trace-id %q, want %s", got, traceID)
				}
				if got := strings.Join(header.Get("x-request-id"), ","); got != tc.correlation {
					t.Errorf("answered x-request-id %q, want %q", got, tc.correlation)
				}
			})
		}
	}
}

// TestAnsweredIDs: an answer has the call's ids once, in its header or, if it is
// nothing but an error, in its trailer: a header would end the client's retries.
func TestAnsweredIDs(t *testing.T) {
	refuse := func(context.Context) error { return status.Error(codes.Unavailable, "later") }
	early := func(ctx context.Context) error { return grpc.SendHeader(ctx, metadata.Pairs("x-early", "1")) }
	for _, tc := range []struct {
		name     string
		service  *service
		inHeader map[string]bool
	}{
		{"well", &service{}, map[string]bool{"unary": true, "client stream": true, "server stream": true, "bidi stream": true}},
		{"refused", &service{
			handle: refuse,
			output: func(testgrpc.TestService_StreamingOutputCallServer) error { return refuse(nil) },
			duplex: func(testgrpc.TestService_FullDuplexCallServer) error { return refuse(nil) },
		}, nil},
		{"failed half-way", &service{handle: refuse}, map[string]bool{"server stream": true, "bidi stream": true}},
		{"well, without a message", &service{
			output: func(testgrpc.TestService_StreamingOutputCallServer) error { return nil },
		}, map[string]bool{"unary": true, "client stream": true, "server stream": true, "bidi stream": true}},
		{"header sent early", &service{
			handle: early,
			input: func(ss testgrpc.TestService_StreamingInputCallServer) error {
				if err := ss.SendHeader(metadata.Pairs("x-early", "1")); err != nil {
					return err
				}
				return ss.SendAndClose(&testgrpc.StreamingInputCallResponse{})
			},
			output: func(ss testgrpc.TestService_StreamingOutputCallServer) error { return early(ss.Context()) },
			duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
				return ss.SendHeader(metadata.Pairs("x-early", "1"))
			},
		}, map[string]bool{"client stream": true, "bidi stream": true}},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, tc.service, interceptors.ServerOptions(interceptors.Record(tel.recorder)), nil)
				var header, trailer metadata.MD
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-7")
				_ = kind.call(ctx, testgrpc.NewTestServiceClient(cc), grpc.Header(&header), grpc.Trailer(&trailer))
				with, without := trailer, header
				if tc.inHeader[kind.name] {
					with, without = header, trailer
				}
				id := tel.one(t, trace.SpanKindServer).SpanContext().TraceID().String()
				if !slices.Equal(with.Get("x-trace-id"), []string{id}) || !slices.Equal(with.Get("x-request-id"), []string{"req-7"}) ||
					len(without.Get("x-trace-id")) != 0 {
					t.Errorf("header %v, trailer %v", header, trailer)
				}
			})
		}
	}
}

// TestWithoutSDK: where no SDK is installed, ids exist, log lines correlate over
// hops, and one further down that has an SDK joins the trace id and samples as
// it likes.
func TestWithoutSDK(t *testing.T) {
	for _, kind := range callKinds {
		for _, tc := range []struct {
			name, traceparent string
		}{{name: "from nothing"}, {name: "from a caller with one", traceparent: callersTraceparent}} {
			t.Run(kind.name+"/"+tc.name, func(t *testing.T) {
				none := record.WithTracerProvider(noop.NewTracerProvider())
				edge, middle := newTelemetry(t, nil, none), newTelemetry(t, nil, none)
				last := newTelemetry(t, sdktrace.ParentBased(sdktrace.AlwaysSample()))
				lastConn := dialHop(t, middle, last, "passthrough:///last", nil)
				middleConn := serve(t, &service{handle: func(ctx context.Context) error {
					return kind.call(ctx, testgrpc.NewTestServiceClient(lastConn))
				}}, interceptors.ServerOptions(interceptors.Record(middle.recorder)), interceptors.DialOptions(interceptors.Record(edge.recorder)))
				edgeConn := hop(t, edge, "passthrough:///edge", middleConn, kind, nil)

				ctx := t.Context()
				if tc.traceparent != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "traceparent", tc.traceparent)
				}
				if err := kind.call(ctx, testgrpc.NewTestServiceClient(edgeConn)); err != nil {
					t.Fatal(err)
				}
				span := last.one(t, trace.SpanKindServer)
				id := span.SpanContext().TraceID().String()
				if tc.traceparent != "" && id != callersTrace {
					t.Errorf("trace id %s, want the caller's %s", id, callersTrace)
				}
				if !span.SpanContext().IsSampled() {
					t.Error("the SDK was kept from sampling")
				}
				if tc.traceparent == "" && span.Parent().IsValid() {
					t.Errorf("the span has the parent %v, which no tracer knows", span.Parent())
				}
				for _, tel := range []*telemetry{edge, middle, last} {
					for _, line := range tel.logs.all(t) {
						if line["trace_id"] != id {
							t.Errorf("line %v: trace_id %v, want %v", line["msg"], line["trace_id"], id)
						}
						if s, _ := line["span_id"].(string); len(s) != 16 {
							t.Errorf("line %v: span_id %q", line["msg"], s)
						}
					}
				}
			})
		}
	}
}

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
