// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

func findBadLines(c *check) {
	for _, l := range c.lines {
		switch what := control(l.Raw); {
		case l.cut:
			c.addLine(l, "the last line is not finished")
		case l.invalid != nil:
			c.addLine(l, "a line is no JSON object: %v", l.invalid)
		case what != "":
			c.addLine(l, "a line contains %s", what)
		}
	}
}

func findDoubledKeys(c *check) {
	for _, l := range c.lines {
		if doubled := doubledKeys("", l.fields); doubled != nil {
			c.addLine(l, "a line has %s twice", strings.Join(doubled, ", "))
		}
	}
}

func findUncorrelated(c *check) {
	for _, l := range c.lines {
		if l.invalid != nil || c.config.uncorrelated[l.Message] {
			continue
		}
		if l.TraceID == "" && l.SpanID == "" && c.config.outside && l.origin.seen && !l.origin.span.IsValid() {
			continue
		}
		for _, id := range []struct{ key, value, rule string }{
			{c.format.TraceID, l.TraceID, hexRule(l.TraceID, 32)},
			{c.format.SpanID, l.SpanID, hexRule(l.SpanID, 16)},
		} {
			switch {
			case id.value == "" && strings.Contains(l.Raw, `"`+id.key+`"`):
				c.addLine(l, "a line has its %s inside of a group, or empty, and not at its root", id.key)
			case id.value == "":
				c.addLine(l, "a line has no %s", id.key)
			case id.rule != "":
				c.addLine(l, "the %s of a line, %q, %s", id.key, excerpt(id.value), id.rule)
			}
		}
	}
}

// hexRule says what is wrong with an id of n hex digits, or nothing.
func hexRule(id string, n int) string {
	switch {
	case len(id) != n || strings.Trim(id, "0123456789abcdef") != "":
		return "is not made of " + count(n, "lower-case hex digit")
	case strings.Trim(id, "0") == "":
		return "is all zeros"
	default:
		return ""
	}
}

func findForeign(c *check) {
	for _, l := range c.lines {
		if l.TraceID == "" || c.isExternal(l.TraceID, l.SpanID) || l.Span() != nil {
			continue
		}
		known := c.traces[l.TraceID] != nil
		switch s := c.spanByID(l.SpanID); {
		case c.isUnsampled(l.TraceID):
		case s != nil:
			c.addLine(l, "the span of a line, %s, belongs to trace %s and not to trace %s", l.SpanID, s.TraceID(), excerpt(l.TraceID))
		case !known:
			c.addLine(l, "trace %s of a line is not in the run", excerpt(l.TraceID))
		case l.SpanID != "":
			c.addLine(l, "span %s of a line is not in trace %s", excerpt(l.SpanID), l.TraceID)
		}
	}
}

// spanByID returns a span with that id in whatever trace, or nil.
func (c *check) spanByID(id string) *Span {
	sid, err := trace.SpanIDFromHex(id)
	if err != nil {
		return nil
	}
	if c.bySpanID == nil {
		c.bySpanID = make(map[trace.SpanID]*Span, len(c.spans))
		for _, s := range c.spans {
			c.bySpanID[s.Context.SpanID()] = s
		}
	}
	return c.bySpanID[sid]
}

func findOutOfContext(c *check) {
	for _, l := range c.lines {
		if l.TraceID == "" || !l.origin.span.IsValid() {
			continue
		}
		tid, sid := l.origin.span.TraceID().String(), l.origin.span.SpanID().String()
		if l.TraceID != tid || l.SpanID != "" && l.SpanID != sid {
			c.addLine(l, "a line was logged with the context of trace %s, span %s, and names others", tid, sid)
		}
	}
}
