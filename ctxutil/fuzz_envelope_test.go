// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Whatever is in an envelope, opening it gives a valid identity, nothing that can
// break a log line or a header, and no more than the limits allow.
func FuzzEnvelopeOpen(f *testing.F) {
	f.Add(traceparent, "a=1", "plan=gold", "", "caller-7", "2030-01-01T00:00:00Z", "tenant", "acme", true)
	f.Add("", "", "", "4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", "a b\r\nc", "yesterday", "proof-bin", "AP8", false)
	f.Add(strings.ToUpper(traceparent), strings.Repeat("a=1,", 500), strings.Repeat("k=v,", 5000), strings.Repeat("0", 32), "\x1b[31m", "0000-00-00T00:00:00Z", "grpc-timeout", "\x00", true)
	f.Add("00-"+strings.Repeat("0", 32)+"-"+spanID+"-01", "=", "=;=", "zz", strings.Repeat("x", 1<<16), "9999-12-31T23:59:59.999999999-23:59", "Tenant\n", strings.Repeat("é", 5000), false)
	f.Fuzz(func(t *testing.T, parent, state, bag, id, requestID, deadline, key, value string, sdk bool) {
		e := ctxutil.Envelope{key: value}
		for k, v := range map[string]string{
			"traceparent": parent, "tracestate": state, "baggage": bag,
			"x-trace-id": id, "x-request-id": requestID, "x-request-deadline": deadline,
		} {
			if v != "" {
				e[k] = v
			}
		}
		spans := tracetest.NewSpanRecorder()
		opts := []ctxutil.OpenOption{ctxutil.WithLogger(slog.New(slog.DiscardHandler))}
		if sdk {
			opts = append(opts, ctxutil.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans), sdktrace.WithSampler(sdktrace.AlwaysSample()))))
		}
		ctx, finish := e.Open(context.Background(), "fuzz", opts...)
		finish(nil)

		got := ctxutil.IdentityFrom(ctx)
		if !got.IsValid() || !isLowerHex(got.TraceID(), 32) || !isLowerHex(got.SpanID(), 16) {
			t.Fatalf("identity %+v", got)
		}
		if sc, ok := ctxutil.ParseTraceparent(e["traceparent"]); ok && sc.TraceID() != got.SpanContext.TraceID() {
			t.Fatalf("trace %s, want %s", got.TraceID(), sc.TraceID())
		}
		if len(got.SpanContext.TraceState().String()) > ctxutil.MaxTracestateBytes {
			t.Fatalf("tracestate %q", got.SpanContext.TraceState())
		}
		if _, ok := ctxutil.SafeID(got.CorrelationID); !ok && got.CorrelationID != "" {
			t.Fatalf("correlation id %q", got.CorrelationID)
		}
		if n := len(baggage.FromContext(ctx).Members()); n > 64 {
			t.Fatalf("%d members of baggage", n)
		}
		values, size := 0, 0
		for _, h := range ctxutil.Forwarded(ctx) {
			size += len(h.Key)
			if ctxutil.IsReserved(h.Key) || strings.ToLower(h.Key) != h.Key {
				t.Fatalf("forwards %q", h.Key)
			}
			for _, v := range h.Values {
				values++
				size += len(v)
				if !strings.HasSuffix(h.Key, "-bin") && (!isASCII(v) || hasControl(v)) {
					t.Fatalf("forwards %q: %q", h.Key, v)
				}
			}
		}
		if values > ctxutil.DefaultForwardValues || size > ctxutil.DefaultForwardBytes {
			t.Fatalf("forwards %d values in %d bytes", values, size)
		}
		if len(ctxutil.Attrs(ctx)) != 0 {
			t.Fatalf("attributes %v", ctxutil.Attrs(ctx))
		}
		if sdk {
			checkFuzzedSpan(t, spans)
		}

		// What is packed again is itself fine, and means the same.
		again := ctxutil.Pack(ctx)
		for k, v := range again {
			if hasControl(k) || hasControl(v) {
				t.Fatalf("packed %q: %q", k, v)
			}
		}
		ctx2, finish2 := again.Open(context.Background(), "fuzz")
		finish2(nil)
		if ctxutil.TraceID(ctx2) != got.TraceID() || ctxutil.IdentityFrom(ctx2).CorrelationID != got.CorrelationID ||
			len(ctxutil.Forwarded(ctx2)) != len(ctxutil.Forwarded(ctx)) {
			t.Fatalf("opened again: %+v, before %+v", ctxutil.IdentityFrom(ctx2), got)
		}
	})
}

func checkFuzzedSpan(t *testing.T, spans *tracetest.SpanRecorder) {
	t.Helper()
	if len(spans.Started()) != 1 || len(spans.Ended()) != 1 {
		t.Fatalf("%d spans started, %d ended", len(spans.Started()), len(spans.Ended()))
	}
	for _, kv := range spans.Ended()[0].Attributes() {
		if kv.Value.Type() == attribute.STRING && hasControl(kv.Value.AsString()) {
			t.Fatalf("attribute %v", kv)
		}
	}
	for _, l := range spans.Ended()[0].Links() {
		if !l.SpanContext.IsValid() {
			t.Fatalf("link to %v", l.SpanContext)
		}
	}
}

func isLowerHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func hasControl(s string) bool { return strings.IndexFunc(s, unicode.IsControl) >= 0 }
