// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// TracerProvider returns where the Recorder's spans go.
func (r *Recorder) TracerProvider() trace.TracerProvider { return r.provider }

// Ingress says whether the Recorder believes its callers.
func (r *Recorder) Ingress() ctxutil.Ingress { return r.ingress }

// Propagator returns the Recorder's rules of identity for another
// instrumentation that makes the spans: what it extracts is checked and bounded
// as the record does it, and an X-Trace-ID alone becomes the trace id; and it
// injects nothing into calls, recorded as such, to hosts that may not be told,
// and an X-Trace-ID where no tracer knows the identity. It is safe for concurrent use.
func (r *Recorder) Propagator() propagation.TextMapPropagator { return propagator{r} }

type propagator struct{ recorder *Recorder }

// Inject implements [propagation.TextMapPropagator].
func (p propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	r := p.recorder
	c := FromContext(ctx)
	if c != nil && !c.kind.IsServer() && !c.allowed {
		return
	}
	if c != nil && c.Unrecorded {
		sc := trace.SpanContextFromContext(ctx)
		if !sc.IsValid() || sc.SpanID() == c.SpanContext().SpanID() {
			carrier.Set(ctxutil.KeyTraceID, c.TraceID())
			ctx = withoutSpan(ctx)
		}
	}
	if r.w3c {
		propagation.TraceContext{}.Inject(ctx, carrier)
	}
	if r.w3cBaggage {
		propagation.Baggage{}.Inject(ctx, carrier)
	}
	if r.others != nil {
		r.others.Inject(ctx, beyondW3C{carrier})
	}
}

// Extract implements [propagation.TextMapPropagator]. The caller's span is in
// the result even if the ingress is public: whoever starts the span decides to
// link it instead of following it.
func (p propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	r := p.recorder
	in := Incoming{
		Traceparent: carrier.Get(ctxutil.KeyTraceparent),
		Tracestate:  valuesOf(carrier, ctxutil.KeyTracestate),
		Baggage:     valuesOf(carrier, ctxutil.KeyBaggage),
		TraceID:     carrier.Get(ctxutil.KeyTraceID),
	}
	ctx, parent := r.callers(ctx, &in, carrier)
	return trace.ContextWithRemoteSpanContext(ctx, parent)
}

// Fields implements [propagation.TextMapPropagator].
func (p propagator) Fields() []string {
	fields := []string{ctxutil.KeyTraceID}
	if p.recorder.w3c {
		fields = append(fields, propagation.TraceContext{}.Fields()...)
	}
	if p.recorder.w3cBaggage {
		fields = append(fields, propagation.Baggage{}.Fields()...)
	}
	if p.recorder.others != nil {
		for _, f := range p.recorder.others.Fields() {
			if !isW3C(f) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

func valuesOf(carrier propagation.TextMapCarrier, key string) []string {
	if m, ok := carrier.(propagation.ValuesGetter); ok {
		return m.Values(key)
	}
	if v := carrier.Get(key); v != "" {
		return []string{v}
	}
	return nil
}

// withoutSpan returns ctx with no span to tell of: an identity that no tracer
// knows would tell the next hop that somebody decided against sampling.
func withoutSpan(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.SpanContext{})
}

// beyondW3C is a carrier without W3C's headers, which the record reads and
// writes itself: a propagator made of several would do it again, with other
// rules, and report what peers got wrong to OpenTelemetry's error handler.
type beyondW3C struct{ propagation.TextMapCarrier }

// Get implements [propagation.TextMapCarrier].
func (c beyondW3C) Get(key string) string {
	if isW3C(key) {
		return ""
	}
	return c.TextMapCarrier.Get(key)
}

// Values implements [propagation.ValuesGetter].
func (c beyondW3C) Values(key string) []string {
	if isW3C(key) {
		return nil
	}
	return valuesOf(c.TextMapCarrier, key)
}

// Set implements [propagation.TextMapCarrier].
func (c beyondW3C) Set(key, value string) {
	if !isW3C(key) {
		c.TextMapCarrier.Set(key, value)
	}
}

func isW3C(key string) bool {
	return strings.EqualFold(key, ctxutil.KeyTraceparent) ||
		strings.EqualFold(key, ctxutil.KeyTracestate) ||
		strings.EqualFold(key, ctxutil.KeyBaggage)
}
