// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

// Incoming is the identity of a call as its headers tell it, not yet checked.
// Every field may be empty, and every field may be hostile. Adapters read the
// headers one by one because copying all of a gRPC call's metadata to look at
// four of them costs more than all the rest of the record.
type Incoming struct {
	Traceparent string   // W3C Trace Context
	Tracestate  []string // W3C Trace Context; used only with a valid Traceparent
	Baggage     []string // W3C Baggage
	TraceID     string   // X-Trace-ID; used only without a valid Traceparent
	RequestID   string   // X-Request-ID

	// Headers gives the call's headers whole. It is called only when the
	// Recorder has propagators beyond W3C's, or headers to forward. May be nil.
	Headers func() ctxutil.Carrier
}

// accept puts the identity of in into ctx: as the remote parent of the span to
// be started or, for a trace id alone, as that span's trace id. It returns the
// caller's correlation id, and the link to follow when the caller's trace is
// not trusted to be continued.
func (r *Recorder) accept(ctx context.Context, in *Incoming) (_ context.Context, correlation string, link trace.SpanContext) {
	var carrier propagation.TextMapCarrier
	if r.others != nil && in.Headers != nil {
		carrier = in.Headers()
	}
	ctx, parent := r.callers(ctx, in, carrier)
	correlation = correlationID(in)
	if r.ingress == ctxutil.Public {
		if parent.IsValid() {
			link = parent
		}
		return ctx, correlation, link
	}
	if parent.HasTraceID() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	return ctx, correlation, link
}

// callers returns the caller's span: by traceparent or, without one, by the
// other configured propagators, which read carrier if it is not nil, or else by
// X-Trace-ID, of which there is a trace id alone. Of callers that are believed,
// it puts what else they say into ctx.
func (r *Recorder) callers(ctx context.Context, in *Incoming, carrier propagation.TextMapCarrier) (context.Context, trace.SpanContext) {
	var parent trace.SpanContext
	if r.others != nil && carrier != nil {
		extracted := r.others.Extract(ctx, beyondW3C{carrier})
		if sc := trace.SpanContextFromContext(extracted); !sc.Equal(trace.SpanContextFromContext(ctx)) {
			parent = sc
		}
		if r.ingress != ctxutil.Public {
			ctx = extracted
		}
	}
	if r.w3c && in.Traceparent != "" {
		if sc, ok := ctxutil.ParseTraceparent(in.Traceparent); ok {
			if len(in.Tracestate) > 0 {
				sc = sc.WithTraceState(ctxutil.ParseTracestate(in.Tracestate...))
			}
			parent = sc
		}
	}
	if !parent.IsValid() && in.TraceID != "" {
		if tid, ok := ctxutil.ParseTraceID(in.TraceID); ok {
			parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: tid})
		}
	}
	if r.w3cBaggage && len(in.Baggage) > 0 && r.ingress != ctxutil.Public {
		b, _ := ctxutil.ParseBaggage(in.Baggage...) // empty if it is refused
		ctx = baggage.ContextWithBaggage(ctx, b)
	}
	return ctx, parent
}

// splitPropagator says which of p's formats the record handles itself, by
// reading and writing single headers, and which need p.
func splitPropagator(p propagation.TextMapPropagator) (w3c, w3cBaggage bool, others propagation.TextMapPropagator) {
	for _, f := range p.Fields() {
		switch f {
		case "traceparent", "tracestate":
			w3c = true
		case "baggage":
			w3cBaggage = true
		default:
			others = p
		}
	}
	return w3c, w3cBaggage, others
}

// withLink returns opts, and with them the link to a caller's trace that is not
// continued.
func (r *Recorder) withLink(opts []trace.SpanStartOption, link trace.SpanContext) []trace.SpanStartOption {
	if !link.IsValid() {
		return opts
	}
	return append(slices.Clip(opts), trace.WithLinks(trace.Link{SpanContext: link}))
}

// correlationID returns the id by which the caller knows the request, if it
// gave one that is well formed: X-Request-ID, or an X-Trace-ID that is not a
// trace id.
func correlationID(in *Incoming) string {
	if id, ok := ctxutil.SafeID(in.RequestID); ok {
		return id
	}
	if in.TraceID == "" {
		return ""
	}
	if _, ok := ctxutil.ParseTraceID(in.TraceID); ok {
		return ""
	}
	id, _ := ctxutil.SafeID(in.TraceID)
	return id
}

// takeForwarded keeps the allow-listed headers of a trusted caller.
func (c *Call) takeForwarded(in *Incoming) {
	r := c.recorder
	if r.forward == nil || in.Headers == nil || r.ingress == ctxutil.Public {
		return
	}
	c.Forwarded, _ = r.forward.Extract(in.Headers())
}

// inherit takes over from the request in ctx what travels on with the calls
// made for it.
func (c *Call) inherit(ctx context.Context) {
	if request := scope.From(ctx); request != nil {
		c.CorrelationID = request.CorrelationID
	}
	c.Forwarded = ctxutil.Forwarded(ctx)
}
