// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

func TestEnvelopeRoundTrip(t *testing.T) {
	r := newTraced(t)
	r.CorrelationID = "caller-7"
	r.Forwarded = []ctxutil.Header{
		{Key: "canary", Values: []string{"blue"}},
		{Key: "proof-bin", Values: []string{"\x00\xff", "a,b"}},
		{Key: "tenant", Values: []string{"acme", "north"}},
	}
	ctxutil.Add(r, slog.String("order_id", "o-1"))
	member, err := baggage.NewMemberRaw("plan", "gold")
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("CET", 3600))

	packed, err := json.Marshal(ctxutil.Pack(baggage.ContextWithBaggage(r, bag)).WithDeadline(deadline))
	if err != nil {
		t.Fatal(err)
	}
	r.finish()
	var e ctxutil.Envelope
	if err := json.Unmarshal(packed, &e); err != nil {
		t.Fatal(err)
	}
	want := ctxutil.Envelope{
		"traceparent": r.Traceparent(), "x-request-id": "caller-7", "baggage": "plan=gold",
		"canary": "blue", "tenant": "acme,north", "proof-bin": "AP8,YSxi",
		"x-request-deadline": "2030-01-02T02:04:05.000000006Z",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Fatalf("packed (-want +got):\n%s", diff)
	}

	ctx, finish := e.Open(context.Background(), "notify", ctxutil.WithTracerProvider(r.provider))
	id := ctxutil.IdentityFrom(ctx)
	if id.TraceID() != r.TraceID() || id.SpanID() == r.SpanID() || id.CorrelationID != "caller-7" {
		t.Errorf("identity %+v, want the producer's trace and a span of its own", id)
	}
	if got := baggage.FromContext(ctx).String(); got != "plan=gold" {
		t.Errorf("baggage %q", got)
	}
	if got, ok := ctx.Deadline(); !ok || !got.Equal(deadline) {
		t.Errorf("deadline %v, want %v", got, deadline)
	}
	forwarded := []ctxutil.Header{r.Forwarded[0], r.Forwarded[1], {Key: "tenant", Values: []string{"acme,north"}}}
	if diff := cmp.Diff(forwarded, ctxutil.Forwarded(ctx)); diff != "" {
		t.Errorf("forwarded headers (-want +got):\n%s", diff)
	}
	if got := ctxutil.Attrs(ctx); len(got) != 0 {
		t.Errorf("attributes %v crossed the queue", got)
	}
	ctxutil.Add(ctx, slog.String("channel", "mail"))
	if s := stats("notify"); s.InFlight != 1 {
		t.Errorf("stats %+v, want it in flight", s)
	}
	finish(nil)
	finish(errors.New("second"))
	if ctx.Err() == nil {
		t.Error("the context lives on")
	}

	span := r.only(t, "notify")
	if !childOf(span, r.SpanContext()) || !span.Parent().IsRemote() || span.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("%v span below %v", span.SpanKind(), span.Parent())
	}
	if len(span.Links()) != 1 || span.Links()[0].SpanContext.SpanID() != r.SpanContext().SpanID() {
		t.Errorf("links %v, want one to the producer", span.Links())
	}
	attrs := map[string]any{"messaging.operation.type": "process", "channel": "mail"}
	if diff := cmp.Diff(attrs, attributes(span.Attributes())); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if span.Status().Code != codes.Unset {
		t.Errorf("status %v", span.Status())
	}
}

func TestPackOutsideOfARequest(t *testing.T) {
	if e := ctxutil.Pack(context.Background()); e == nil || len(e) != 0 {
		t.Errorf("packed %#v", e)
	}
	var e ctxutil.Envelope
	ctx, finish := e.Open(context.Background(), "nothing")
	defer finish(nil)
	if id := ctxutil.IdentityFrom(ctx); !id.IsValid() {
		t.Errorf("identity %+v, want a new one", id)
	}
	if got := e.WithDeadline(time.Time{}); len(got) != 0 {
		t.Errorf("no deadline: %v", got)
	}
	if with := e.WithDeadline(time.Now()); len(with) != 1 || len(with.WithDeadline(time.Time{})) != 0 || len(with) != 1 {
		t.Errorf("deadline: %v", with)
	}
}

// Ids flow without an SDK on either side, and a sampled trace is not cut by a
// service in its middle that has none.
func TestEnvelopeWithoutSDK(t *testing.T) {
	for _, tp := range []trace.TracerProvider{nil, noop.NewTracerProvider()} {
		t.Run(fmt.Sprintf("%T", tp), func(t *testing.T) {
			e := ctxutil.Envelope{"traceparent": traceparent, "tracestate": "a=1", "x-request-id": "caller-7"}
			ctx, finish := e.Open(context.Background(), "no-sdk", ctxutil.WithTracerProvider(tp))
			defer finish(nil)
			id := ctxutil.IdentityFrom(ctx)
			if id.TraceID() != traceID || id.SpanID() != spanID || id.CorrelationID != "caller-7" {
				t.Errorf("identity %+v, want the packed one", id)
			}
			want := ctxutil.Envelope{"traceparent": traceparent, "tracestate": "a=1", "x-request-id": "caller-7"}
			if diff := cmp.Diff(want, ctxutil.Pack(ctx)); diff != "" {
				t.Errorf("packed again (-want +got):\n%s", diff)
			}

			// A made-up identity travels as a trace id, which the next may sample.
			ctx, finish = ctxutil.Envelope{}.Open(context.Background(), "no-sdk", ctxutil.WithTracerProvider(tp))
			defer finish(nil)
			first := ctxutil.TraceID(ctx)
			e = ctxutil.Pack(ctx)
			if diff := cmp.Diff(ctxutil.Envelope{"x-trace-id": first}, e); diff != "" || first == "" {
				t.Errorf("packed (-want +got):\n%s", diff)
			}
			ctx, finish = e.Open(context.Background(), "no-sdk", ctxutil.WithTracerProvider(tp))
			defer finish(nil)
			if id := ctxutil.IdentityFrom(ctx); id.TraceID() != first || !id.IsValid() {
				t.Errorf("identity %+v, want trace %s", id, first)
			}
		})
	}
}

// A trace id alone is joined; whether to sample is the consumer's choice.
func TestEnvelopeWithTraceIDOnly(t *testing.T) {
	r := newTraced(t)
	ctx, finish := ctxutil.Envelope{"x-trace-id": "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736"}.
		Open(context.Background(), "trace-id", ctxutil.WithTracerProvider(r.provider))
	finish(nil)
	span := r.only(t, "trace-id")
	if ctxutil.TraceID(ctx) != traceID || span.SpanContext().TraceID().String() != traceID {
		t.Errorf("trace %s, want %s", ctxutil.TraceID(ctx), traceID)
	}
	if span.Parent().HasSpanID() || len(span.Links()) != 0 {
		t.Errorf("parent %v, links %v: there is no such span", span.Parent(), span.Links())
	}
}

// The consumer's own request, baggage and attributes are not the message's.
func TestEnvelopeReplacesTheConsumers(t *testing.T) {
	loop := newTraced(t)
	ctxutil.Add(loop, slog.String("loop", "yes"))
	loop.CorrelationID = "loop"
	member, _ := baggage.NewMemberRaw("plan", "loop")
	bag, _ := baggage.New(member)
	consumer := context.WithValue(baggage.ContextWithBaggage(loop, bag), valueKey{}, "kept")
	for _, e := range []ctxutil.Envelope{nil, {"traceparent": traceparent}, {"traceparent": "junk", "baggage": "\x00"}} {
		for _, opts := range [][]ctxutil.OpenOption{{ctxutil.WithTracerProvider(loop.provider)}, nil} {
			ctx, finish := e.Open(consumer, "replace", opts...)
			id := ctxutil.IdentityFrom(ctx)
			if !id.IsValid() || id.TraceID() == loop.TraceID() || id.CorrelationID != "" {
				t.Errorf("%v: identity %+v, the consumer's is %+v", e, id, ctxutil.IdentityFrom(loop))
			}
			if len(ctxutil.Attrs(ctx)) != 0 || baggage.FromContext(ctx).Len() != 0 {
				t.Errorf("%v: attributes %v, baggage %v", e, ctxutil.Attrs(ctx), baggage.FromContext(ctx))
			}
			if ctx.Value(valueKey{}) != "kept" {
				t.Errorf("%v: a value of the consumer's was lost", e)
			}
			finish(nil)
		}
	}
}

func TestEnvelopePublic(t *testing.T) {
	r := newTraced(t)
	e := ctxutil.Envelope{"traceparent": traceparent, "baggage": "plan=gold", "x-request-id": "caller-7", "tenant": "acme"}
	for _, tp := range []trace.TracerProvider{r.provider, noop.NewTracerProvider()} {
		ctx, finish := e.Open(context.Background(), "public", ctxutil.WithIngress(ctxutil.Public), ctxutil.WithTracerProvider(tp))
		finish(nil)
		id := ctxutil.IdentityFrom(ctx)
		if !id.IsValid() || id.TraceID() == traceID || id.CorrelationID != "caller-7" {
			t.Errorf("identity %+v, want a new trace with the correlation id", id)
		}
		if baggage.FromContext(ctx).Len() != 0 || len(ctxutil.Forwarded(ctx)) != 0 {
			t.Errorf("baggage %v, headers %v", baggage.FromContext(ctx), ctxutil.Forwarded(ctx))
		}
	}
	span := r.only(t, "public")
	if span.Parent().IsValid() || len(span.Links()) != 1 || span.Links()[0].SpanContext.TraceID().String() != traceID {
		t.Errorf("parent %v, links %v, want a root with a link", span.Parent(), span.Links())
	}
}

func TestEnvelopeDeadline(t *testing.T) {
	tests := []struct {
		name, value string
		left        time.Duration
		ok          bool
	}{
		{"to come", "2000-01-01T00:01:00Z", time.Minute, true},
		{"another zone", "2000-01-01T02:00:30+02:00", 30 * time.Second, true},
		{"passed", "1999-12-31T23:59:59Z", 0, true},
		{"far", "9999-12-31T23:59:59Z", 1<<63 - 1, true},
		{"none", "", 0, false},
		{"malformed", "tomorrow", 0, false},
		{"number", "946684860", 0, false},
		{"long", "2000-01-01T00:01:00." + strings.Repeat("0", 100) + "Z", 0, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // begins on 2000-01-01
				e := ctxutil.Envelope{"traceparent": traceparent, "x-request-deadline": tc.value}
				ctx, finish := e.Open(context.Background(), "deadline")
				defer finish(nil)
				left, ok := ctxutil.Remaining(ctx)
				if left != tc.left || ok != tc.ok {
					t.Errorf("%v left, %v, want %v, %v", left, ok, tc.left, tc.ok)
				}
				if tc.ok && tc.left < time.Hour {
					<-ctx.Done()
					if by := ctxutil.EndedBy(ctx); by != ctxutil.EndCallerDeadline || context.Cause(ctx) != ctxutil.ErrCallerDeadline {
						t.Errorf("ended by %v, cause %v, want the caller's deadline", by, context.Cause(ctx))
					}
				}
				if len(ctxutil.Forwarded(ctx)) != 0 {
					t.Errorf("the deadline was forwarded: %v", ctxutil.Forwarded(ctx))
				}
			})
		})
	}
}

func TestEnvelopeForwarded(t *testing.T) {
	many := ctxutil.Envelope{}
	for i := range 100 {
		many[fmt.Sprintf("h-%03d", i)] = "v"
	}
	few := maps.Clone(many)
	maps.DeleteFunc(few, func(k, _ string) bool { return k > "h-020" })
	tests := []struct {
		name string
		e    ctxutil.Envelope
		list *ctxutil.Forward
		want string
	}{
		{"all", ctxutil.Envelope{"tenant": "acme", "locale": "de"}, nil, "[{locale [de]} {tenant [acme]}]"},
		{"listed", ctxutil.Envelope{"tenant": "acme", "locale": "de"}, mustForward(t, []string{"Tenant"}), "[{tenant [acme]}]"},
		{"limits of the list", ctxutil.Envelope{"a": "1", "b": "2"}, mustForward(t, []string{"a", "b"}, ctxutil.WithForwardLimits(1, 100)), "[{a [1]}]"},
		{"none listed", ctxutil.Envelope{"locale": "de"}, mustForward(t, []string{"Tenant"}), "[]"},
		{"reserved", ctxutil.Envelope{"grpc-timeout": "1S", "content-type": "x", ":path": "/", "": "x", "b3": "0"}, nil, "[]"},
		{"not lower case", ctxutil.Envelope{"Tenant": "acme"}, nil, "[]"},
		{"bad name", ctxutil.Envelope{"ten ant": "a", "ten\nant": "a", "ténant": "a"}, nil, "[]"},
		{"bad value", ctxutil.Envelope{"a": "x\r\ny", "b": "\x1b[31m", "c": "é", "d": "\xff"}, nil, "[]"},
		{"not base64", ctxutil.Envelope{"proof-bin": "???"}, nil, "[]"},
		{"long", ctxutil.Envelope{"a": strings.Repeat("x", 5000), "b": "kept"}, nil, "[{b [kept]}]"},
		{"too many to look at", many, nil, "[]"},
		{"many, but listed", many, mustForward(t, []string{"h-099"}), "[{h-099 [v]}]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			ctx, finish := tc.e.Open(context.Background(), "forwarded", ctxutil.WithForward(tc.list))
			defer finish(nil)
			if got := fmt.Sprint(ctxutil.Forwarded(ctx)); got != tc.want {
				t.Errorf("forwarded %s, want %s", got, tc.want)
			}
		})
	}
	ctx, finish := few.Open(context.Background(), "forwarded")
	defer finish(nil)
	if got := ctxutil.Forwarded(ctx); len(got) != ctxutil.DefaultForwardValues || got[0].Key != "h-000" || got[15].Key != "h-015" {
		t.Errorf("forwarded %v, want the first %d", got, ctxutil.DefaultForwardValues)
	}
}

func TestEnvelopeDo(t *testing.T) {
	r := newTraced(t)
	broken := errors.New("no such channel")
	redact := ctxutil.WithRedact(func(a slog.Attr) slog.Attr { return slog.String(a.Key, "***") })
	do := func(f func(context.Context) error) error {
		return ctxutil.Pack(r).Do(context.Background(), "do", f, ctxutil.WithTracerProvider(r.provider), r.logger, redact)
	}
	if err := do(func(ctx context.Context) error {
		ctxutil.Add(ctx, slog.String("to", "jane@example.com"))
		return nil
	}); err != nil {
		t.Errorf("Do: %v", err)
	}
	if err := do(func(context.Context) error { return broken }); err != broken {
		t.Errorf("Do: %v, want %v", err, broken)
	}
	if got := r.logs.all(t); len(got) != 0 {
		t.Errorf("a returned error was logged: %v", got)
	}
	err := do(func(context.Context) error { panic("poison") })
	var p *ctxutil.PanicError
	if !errors.As(err, &p) || p.Value != "poison" {
		t.Errorf("Do: %v, want the panic", err)
	}
	logged := r.logs.all(t)
	if len(logged) != 1 {
		t.Fatalf("logged %v, want the panic", logged)
	}
	contains(t, logged[0], map[string]string{"panic": "poison", "trace_id": r.TraceID()})

	spans := r.ended("do")
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	for i, want := range []codes.Code{codes.Unset, codes.Error, codes.Error} {
		if got := spans[i].Status().Code; got != want {
			t.Errorf("span %d has status %v, want %v", i, got, want)
		}
	}
	if got := attributes(spans[0].Attributes())["to"]; got != "***" {
		t.Errorf("the span shows %v", got)
	}
}

// An unsampled trace stays unsampled on the other side of the queue.
func TestEnvelopeUnsampled(t *testing.T) {
	r := unsampled(t)
	consumer := newTraced(t, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	ctx, finish := ctxutil.Pack(r).Open(context.Background(), "unsampled", ctxutil.WithTracerProvider(consumer.provider))
	finish(nil)
	if id := ctxutil.IdentityFrom(ctx); id.TraceID() != r.TraceID() || id.SpanContext.IsSampled() {
		t.Errorf("identity %+v", id)
	}
	if n := len(consumer.ended("unsampled")); n != 0 {
		t.Errorf("%d spans recorded", n)
	}
	if scope.From(ctx).Unrecorded {
		t.Error("a tracer decided about it, so it is not unrecorded")
	}
}
