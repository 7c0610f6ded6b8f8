// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"fmt"

	"go.opentelemetry.io/otel/trace"
)

// check is one pass of the rules over a run.
type check struct {
	*Run
	config *config
	rule   Rule // the one being checked
	found  []Problem

	bySpanID map[trace.SpanID]*Span // made when first needed
}

// add reports a breach that concerns no span and no line.
func (c *check) add(format string, args ...any) {
	c.found = append(c.found, Problem{Rule: c.rule, Message: fmt.Sprintf(format, args...)})
}

// addSpan reports a breach of a span.
func (c *check) addSpan(s *Span, format string, args ...any) {
	c.found = append(c.found, Problem{
		Rule: c.rule, Message: s.String() + ": " + fmt.Sprintf(format, args...),
		TraceID: s.TraceID(), SpanID: s.SpanID(),
	})
}

// addLine reports a breach of a log line.
func (c *check) addLine(l *Line, format string, args ...any) {
	what := "log line"
	if l.Service != "" {
		what += " of " + l.Service
	}
	c.found = append(c.found, Problem{
		Rule: c.rule, Message: fmt.Sprintf(format, args...) + ": " + what + " " + l.String(),
		TraceID: l.TraceID, SpanID: l.SpanID, line: l,
	})
}

// isUnsampled reports whether the trace is known not to be recorded.
func (c *check) isUnsampled(traceID string) bool {
	if c.config.unsampled[traceID] {
		return true
	}
	id, err := trace.TraceIDFromHex(traceID)
	return err == nil && c.unsampled[id]
}

// isExternal reports whether the ids are declared to come from outside.
func (c *check) isExternal(traceID, spanID string) bool {
	return c.config.external[traceID] || c.config.external[spanID]
}

func findIncomplete(c *check) {
	if c.lostSpans > 0 {
		c.add("no room for %s: see WithMaxSpans", count(c.lostSpans, "span"))
	}
	if c.lostLines > 0 {
		c.add("no room for %s: see WithMaxLines", count(c.lostLines, "log line"))
	}
	for _, g := range c.metrics {
		if g.err != nil {
			c.add("the metrics%s could not be gathered: %v", ofService(g.service), g.err)
		}
	}
}

// ofService returns " of order", or "" if there is no name.
func ofService(name string) string {
	if name == "" {
		return ""
	}
	return " of " + name
}
