// SPDX-License-Identifier: Apache-2.0

package tail

import (
	"encoding/binary"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// reason is why a trace is kept; reasonNone if nothing speaks for it.
type reason int

const (
	reasonNone reason = iota
	reasonForced
	reasonRule
	reasonError
	reasonSlow
	reasonHead
	reasonRatio
	reasons // how many there are
)

// reasonFor looks for a reason in one span; lasted is how long it took, or has
// been open.
func (c *config) reasonFor(s sdktrace.ReadOnlySpan, lasted time.Duration) reason {
	if c.force != "" && forced(s.Attributes(), c.force) {
		return reasonForced
	}
	for _, rule := range c.rules {
		switch rule(s) {
		case Keep:
			return reasonRule
		case Excuse:
			return reasonNone
		}
	}
	switch {
	case s.Status().Code == codes.Error:
		return reasonError
	case c.slow > 0 && lasted >= c.slow:
		return reasonSlow
	}
	return reasonNone
}

func forced(attrs []attribute.KeyValue, key attribute.Key) bool {
	for _, kv := range attrs {
		if kv.Key != key {
			continue
		}
		switch kv.Value.Type() {
		case attribute.BOOL:
			return kv.Value.AsBool()
		case attribute.INT64:
			return kv.Value.AsInt64() > 0
		case attribute.FLOAT64:
			return kv.Value.AsFloat64() > 0
		}
	}
	return false
}

// inRatio selects by the low 63 bits of the trace id, like TraceIDRatioBased, so
// that the same ids are chosen here and there.
func inRatio(id trace.TraceID, fraction float64) bool {
	if fraction >= 1 {
		return true
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(fraction*(1<<63))
}
