// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"context"
	"encoding/hex"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// Keys of the attributes a [Handler] adds.
const (
	// TraceIDKey is the key of the trace id, 32 hex digits.
	TraceIDKey = "trace_id"
	// SpanIDKey is the key of the span id, 16 hex digits.
	SpanIDKey = "span_id"
	// RequestIDKey is the key of the id by which the caller knows the request.
	RequestIDKey = "request_id"
	// DroppedAttrsKey is the key of the number of attributes past [WithMaxAttrs].
	DroppedAttrsKey = "dropped_attrs"
	// DroppedRepeatsKey is the key of the number of records that a [Sampler]
	// dropped since the last one like it passed.
	DroppedRepeatsKey = "dropped_repeats"
)

// ids are the correlation ids of one record; empty without a trace.
type ids struct {
	trace, span string
}

// identify returns the ids of the current span in ctx. For the span of the
// request itself they are the scope's ready-made strings.
func identify(ctx context.Context, s *scope.Scope) ids {
	var sc trace.SpanContext
	if ctx != nil {
		sc = trace.SpanContextFromContext(ctx)
	}
	if !sc.IsValid() {
		if s == nil {
			return ids{}
		}
		return ids{trace: s.TraceID(), span: s.SpanID()}
	}
	if s != nil && s.SpanContext().SpanID() == sc.SpanID() && s.SpanContext().TraceID() == sc.TraceID() {
		return ids{trace: s.TraceID(), span: s.SpanID()}
	}
	const traceHex, spanHex = 32, 16
	tid, sid := sc.TraceID(), sc.SpanID()
	var b [traceHex + spanHex]byte
	hex.Encode(b[:traceHex], tid[:])
	hex.Encode(b[traceHex:], sid[:])
	both := string(b[:])
	return ids{trace: both[:traceHex], span: both[traceHex:]}
}

// is reports whether a is the string attribute key=value.
func is(a slog.Attr, key, value string) bool {
	return a.Key == key && a.Value.Kind() == slog.KindString && a.Value.String() == value
}
