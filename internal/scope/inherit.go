// SPDX-License-Identifier: Apache-2.0

package scope

import (
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// Inherit gives s what from's request carries beyond its span: a copy of the
// attributes, the correlation id, the forwarded headers, the log level and the
// redaction. It is called after Init and before s is shared; nil changes nothing.
func (s *Scope) Inherit(from *Scope) {
	if from == nil {
		return
	}
	s.CorrelationID = from.CorrelationID
	s.Forwarded = from.Forwarded
	s.Unrecorded = from.Unrecorded && s.spanContext.SpanID() == from.spanContext.SpanID()
	s.redact = from.redact
	s.level.Store(from.level.Load())
	s.attrs = from.AppendAttrs(s.attrs)
	s.dropped = from.Dropped()
}

// NewSpanContext returns an unsampled identity for what no tracer gave one, in
// the trace id or, if that is zero, in a new one.
func NewSpanContext(id trace.TraceID) trace.SpanContext {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	var span trace.SpanID
	for !span.IsValid() {
		binary.BigEndian.PutUint64(span[:], rand.Uint64())
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span})
}
