// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
)

const (
	// keyDeadline is the key of an envelope's deadline, in RFC 3339.
	keyDeadline = "x-request-deadline"
	// maxDeadlineBytes is more than any RFC 3339 time has.
	maxDeadlineBytes = 40
	// maxEnvelopeHeaders is the size past which business headers are not looked
	// for in an envelope.
	maxEnvelopeHeaders = 64
)

// Envelope is the identity of a request on its way through a queue, a channel or a
// table: headers to put on the message, or a field to put into it. It marshals to a
// JSON object of strings. Keys are lower case: traceparent, tracestate, baggage,
// x-request-id, the forwarded business headers and, if asked for,
// x-request-deadline. A business header with several values has them joined by a
// comma, as RFC 9110 §5.3 does; the values of one that ends in -bin are base64.
//
// An Envelope that comes out of a queue is believed no more than headers are: what
// is malformed in it is ignored, and with nothing valid in it the work gets an
// identity of its own. The zero Envelope is empty and can be opened.
type Envelope map[string]string

// Pack returns the identity of the request in ctx, to be opened by whoever takes
// the message out of the queue. Attributes and the deadline do not travel; for a
// deadline see [Envelope.WithDeadline].
//
// If no tracer knows the request's identity, x-trace-id takes the place of
// traceparent, so that the consumer may sample its part.
func Pack(ctx context.Context) Envelope {
	e := Envelope{}
	for _, h := range Forwarded(ctx) {
		if h.Key == keyDeadline {
			continue
		}
		values := h.Values
		if isBin(h.Key) {
			values = make([]string, len(h.Values))
			for i, v := range h.Values {
				values[i] = encodeBin(v)
			}
		}
		e[h.Key] = strings.Join(values, ",")
	}
	carrier := propagation.MapCarrier(e)
	propagation.Baggage{}.Inject(ctx, carrier)
	sc := trace.SpanContextFromContext(ctx)
	request := scope.From(ctx)
	if request != nil && request.CorrelationID != "" {
		e[KeyRequestID] = request.CorrelationID
	}
	if request != nil && request.Unrecorded && request.SpanContext().SpanID() == sc.SpanID() {
		e[KeyTraceID] = request.TraceID()
	} else {
		propagation.TraceContext{}.Inject(ctx, carrier)
	}
	return e
}

// WithDeadline returns a copy of e that makes the work end at t, by the clock of
// the consumer; the zero time takes a deadline away. Usually work in a queue has
// no deadline, or a later one than the request it is done for.
func (e Envelope) WithDeadline(t time.Time) Envelope {
	e = maps.Clone(e)
	if e == nil {
		e = Envelope{}
	}
	if t.IsZero() {
		delete(e, keyDeadline)
	} else {
		e[keyDeadline] = t.UTC().Format(time.RFC3339Nano)
	}
	return e
}

// spanContext returns what e says about the span that packed it; with a trace id
// alone if that is all it says.
func (e Envelope) spanContext() trace.SpanContext {
	if sc, ok := ParseTraceparent(e[KeyTraceparent]); ok {
		if ts := e[KeyTracestate]; ts != "" {
			sc = sc.WithTraceState(ParseTracestate(ts))
		}
		return sc
	}
	id, _ := ParseTraceID(e[KeyTraceID])
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, Remote: true})
}

// withBaggage returns ctx with the baggage in e, and with none if e has none.
func (e Envelope) withBaggage(ctx context.Context) context.Context {
	b, ok := ParseBaggage(e[KeyBaggage])
	if !ok {
		return baggage.ContextWithoutBaggage(ctx)
	}
	return baggage.ContextWithBaggage(ctx, b)
}

// withDeadline returns ctx with the deadline in e, if it has one.
func (e Envelope) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if s := e[keyDeadline]; s != "" && len(s) <= maxDeadlineBytes {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return context.WithDeadlineCause(ctx, t, ErrCallerDeadline)
		}
	}
	return context.WithCancel(ctx)
}

// forwarded returns the business headers in e: those on the list or, without a
// list, all that may be forwarded at all, within the default limits.
func (e Envelope) forwarded(list *Forward) []Header {
	room := forwardRoom{values: DefaultForwardValues, bytes: DefaultForwardBytes}
	var keys []string
	if list != nil {
		room = forwardRoom{values: list.maxValues, bytes: list.maxBytes}
		keys = list.keys
	} else if len(e) <= maxEnvelopeHeaders {
		keys = slices.Sorted(maps.Keys(e)) // so that the limits cut off the same ones every time
	}
	var headers []Header
	for _, key := range keys {
		value, ok := e[key]
		if !ok || key == keyDeadline || key != strings.ToLower(key) || checkForwardKey(key) != nil {
			continue
		}
		values := []string{value}
		if isBin(key) {
			values = decodeBin(values)
		}
		if room.take(key, values) {
			headers = append(headers, Header{Key: key, Values: values})
		}
	}
	return headers
}
