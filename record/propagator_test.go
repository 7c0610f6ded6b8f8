// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

const (
	aTrace       = "4bf92f3577b34da6a3ce929d0e0e4736"
	aTraceparent = "00-" + aTrace + "-00f067aa0ba902b7-01"
)

// markPropagator carries a mark, and no span.
type markPropagator struct{}

type markKey struct{}

func (markPropagator) Inject(ctx context.Context, c propagation.TextMapCarrier) {
	if m, ok := ctx.Value(markKey{}).(string); ok {
		c.Set("x-mark", m)
		c.Set("Traceparent", "somebody else's")
	}
}

func (markPropagator) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	return context.WithValue(ctx, markKey{}, c.Get("x-mark")+c.Get("traceparent"))
}

func (markPropagator) Fields() []string { return []string{"x-mark", "Traceparent"} }

// all is every format there is here.
var all = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}, markPropagator{})

// TestPropagatorExtract: another instrumentation reads what the record would.
func TestPropagatorExtract(t *testing.T) {
	for _, tc := range []struct {
		name    string
		headers propagation.MapCarrier
		ingress ctxutil.Ingress
		trace   string
		valid   bool // there is a span, not a trace id alone
		baggage int
	}{
		{name: "nothing", headers: propagation.MapCarrier{}},
		{name: "traceparent", headers: propagation.MapCarrier{"traceparent": aTraceparent, "tracestate": "a=1", "baggage": "k=v"}, trace: aTrace, valid: true, baggage: 1},
		{name: "not quite a traceparent", headers: propagation.MapCarrier{"traceparent": aTraceparent + " ", "baggage": "k=v"}, baggage: 1},
		{name: "a trace id", headers: propagation.MapCarrier{"x-trace-id": aTrace}, trace: aTrace},
		{name: "a stranger", headers: propagation.MapCarrier{"traceparent": aTraceparent, "baggage": "k=v"}, ingress: ctxutil.Public, trace: aTrace, valid: true},
		{name: "bad baggage", headers: propagation.MapCarrier{"baggage": "=%zz"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newBench(t, record.WithPropagator(all), record.WithIngress(tc.ingress)).Propagator()
			tc.headers["x-mark"] = "m"
			ctx := p.Extract(t.Context(), tc.headers)
			sc := trace.SpanContextFromContext(ctx)
			if got := sc.TraceID(); tc.trace == "" && got.IsValid() || tc.trace != "" && got.String() != tc.trace || sc.IsValid() != tc.valid || sc.IsValid() && !sc.IsRemote() {
				t.Errorf("span context %v, want trace %q", sc, tc.trace)
			}
			if got := baggage.FromContext(ctx).Len(); got != tc.baggage {
				t.Errorf("%d baggage members, want %d", got, tc.baggage)
			}
			if mark := ctx.Value(markKey{}); tc.ingress == ctxutil.Trusted && mark != "m" || tc.ingress == ctxutil.Public && mark != nil {
				t.Errorf("mark %v", mark)
			}
		})
	}
}

// TestPropagatorInject: what goes out is what the record would send.
func TestPropagatorInject(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   func(context.Context, *record.Recorder) context.Context
		sdk  bool
		want []string
	}{
		{"no record", func(ctx context.Context, _ *record.Recorder) context.Context { return ctx }, true, []string{"baggage", "x-mark"}},
		{"a call served", func(ctx context.Context, r *record.Recorder) context.Context {
			return r.StartRPCServer(ctx, r.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
		}, true, []string{"baggage", "traceparent", "x-mark"}},
		{"a call made", func(ctx context.Context, r *record.Recorder) context.Context {
			return r.StartRPCClient(ctx, r.RPCClientMethod("/a.B/C", "inventory", metrics.Unary))
		}, true, []string{"baggage", "traceparent", "x-mark"}},
		{"a call to a host that may not be told", func(ctx context.Context, r *record.Recorder) context.Context {
			return r.StartRPCClient(ctx, r.RPCClientMethod("/a.B/C", "api.example.com", metrics.Unary))
		}, true, nil},
		{"a call that no tracer knows", func(ctx context.Context, r *record.Recorder) context.Context {
			return r.StartRPCClient(ctx, r.RPCClientMethod("/a.B/C", "inventory", metrics.Unary))
		}, false, []string{"baggage", "x-mark", "x-trace-id"}},
		{"made for one that no tracer knows", func(ctx context.Context, r *record.Recorder) context.Context {
			ctx = r.StartRPCServer(ctx, r.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
			return r.ShadowRPCClient(ctx, r.RPCClientMethod("/a.B/C", "inventory", metrics.Unary))
		}, false, []string{"baggage", "x-mark", "x-trace-id"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := []record.Option{record.WithPropagator(all)}
			if !tc.sdk {
				opts = append(opts, record.WithTracerProvider(noop.NewTracerProvider()))
			}
			r := newBench(t, opts...).Recorder
			b, err := baggage.Parse("k=v")
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.WithValue(baggage.ContextWithBaggage(t.Context(), b), markKey{}, "m")
			carrier := propagation.MapCarrier{}
			ctx = tc.in(ctx, r)
			r.Propagator().Inject(ctx, carrier)
			got := carrier.Keys()
			slices.Sort(got)
			if !cmp.Equal(got, tc.want) && len(got)+len(tc.want) > 0 {
				t.Errorf("injected %v, want %v", got, tc.want)
			}
			if tp, ok := carrier["traceparent"]; ok && tp != record.FromContext(ctx).Traceparent() {
				t.Errorf("traceparent %q, want that of the call", tp)
			}
		})
	}
}

func TestPropagatorFields(t *testing.T) {
	for _, tc := range []struct {
		p    propagation.TextMapPropagator
		want []string
	}{
		{all, []string{"baggage", "traceparent", "tracestate", "x-mark", "x-trace-id"}},
		{propagation.TraceContext{}, []string{"traceparent", "tracestate", "x-trace-id"}},
	} {
		got := newBench(t, record.WithPropagator(tc.p)).Propagator().Fields()
		slices.Sort(got)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	}
}
