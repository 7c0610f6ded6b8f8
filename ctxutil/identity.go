// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// Identity names one request: the span that is current in a context and the
// id by which the caller knows the request. The zero value is "no request".
type Identity struct {
	// SpanContext is the current span's; invalid outside of any request.
	SpanContext trace.SpanContext
	// CorrelationID is the id the caller gave in X-Request-ID, or in an
	// X-Trace-ID that is not a trace id. It is validated and at most 128 bytes
	// long. Empty if the caller gave none.
	CorrelationID string

	scope *scope.Scope
}

// IdentityFrom returns the identity in ctx. It costs no allocation.
func IdentityFrom(ctx context.Context) Identity {
	s := scope.From(ctx)
	id := Identity{SpanContext: trace.SpanContextFromContext(ctx), scope: s}
	if s != nil {
		id.CorrelationID = s.CorrelationID
	}
	return id
}

// IsValid reports whether there is a trace id and a span id.
func (i Identity) IsValid() bool { return i.SpanContext.IsValid() }

// TraceID returns the trace id as 32 lower-case hex digits, or "" if there is
// none. For the span of the request itself it costs no allocation.
func (i Identity) TraceID() string {
	if !i.SpanContext.HasTraceID() {
		return ""
	}
	if i.scope != nil && i.scope.SpanContext().TraceID() == i.SpanContext.TraceID() {
		return i.scope.TraceID()
	}
	return i.SpanContext.TraceID().String()
}

// SpanID returns the span id as 16 lower-case hex digits, or "" if there is
// none. For the span of the request itself it costs no allocation.
func (i Identity) SpanID() string {
	if !i.SpanContext.HasSpanID() {
		return ""
	}
	if i.scope != nil && i.scope.SpanContext().SpanID() == i.SpanContext.SpanID() {
		return i.scope.SpanID()
	}
	return i.SpanContext.SpanID().String()
}

// TraceID returns the trace id in ctx as 32 lower-case hex digits, or "".
func TraceID(ctx context.Context) string { return IdentityFrom(ctx).TraceID() }
