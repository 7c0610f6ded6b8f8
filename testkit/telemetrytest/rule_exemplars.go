// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"
)

// maxExemplarRunes is the limit of OpenMetrics on the names and values of an
// exemplar's labels together
// (https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars).
const maxExemplarRunes = 128

func findBigExemplars(c *check) {
	c.eachExemplar(func(e exemplar) {
		runes := 0
		for _, l := range e.GetLabel() {
			runes += utf8.RuneCountInString(l.GetName()) + utf8.RuneCountInString(l.GetValue())
		}
		if runes > maxExemplarRunes {
			c.addExemplar(e, "has %d runes, and may have %d", runes, maxExemplarRunes)
		}
	})
}

func findLostExemplars(c *check) {
	c.eachExemplar(func(e exemplar) {
		tid, sid := e.label(c.format.TraceID), e.label(c.format.SpanID)
		t := c.traces[tid]
		switch {
		case tid == "":
			c.addExemplar(e, "has no %s", c.format.TraceID)
		case c.isExternal(tid, sid):
		case t == nil:
			c.addExemplar(e, "leads to a trace that is not in the run")
		case sid != "" && t.spanByID(sid) == nil:
			c.addExemplar(e, "leads to a span that is not in its trace")
		case !slices.ContainsFunc(t.spans, func(s *Span) bool { return s.Context.IsSampled() && (sid == "" || s.SpanID() == sid) }):
			c.addExemplar(e, "leads to a span that is not sampled")
		}
	})
}

// spanByID returns the span of that id in the trace, or nil.
func (t *Trace) spanByID(id string) *Span {
	sid, err := trace.SpanIDFromHex(id)
	if err != nil || len(t.spans) == 0 {
		return nil
	}
	return t.run.byID[spanKey{t.spans[0].Context.TraceID(), sid}]
}

func findWrongExemplars(c *check) {
	kinds := map[string]*CallKind{}
	for i, k := range c.config.calls {
		kinds[k.Metric] = &c.config.calls[i]
	}
	c.eachExemplar(func(e exemplar) {
		v := e.GetValue()
		if v <= e.above || v > e.upTo {
			c.addExemplar(e, "has the value %g in the bucket of (%g, %g]", v, e.above, e.upTo)
		}
		if k := kinds[e.family]; k != nil && k.Metric != "" {
			c.compareExemplar(e, k)
		}
	})
}

// compareExemplar holds the exemplar of a call against the call's span. One
// without a span id is held against all calls of its trace.
func (c *check) compareExemplar(e exemplar, k *CallKind) {
	t := c.traces[e.label(c.format.TraceID)]
	if t == nil {
		return // reported elsewhere
	}
	candidates := t.spans
	if sid := e.label(c.format.SpanID); sid != "" {
		s := t.spanByID(sid)
		if s == nil {
			return
		}
		candidates = []*Span{s}
	}
	why := ""
	for _, s := range candidates {
		if c.callKind(s) != k {
			why = "leads to " + s.String() + ", which is no " + k.Name
			continue
		}
		switch want, got := k.of(s.attrText), k.of(func(d string) string { return e.series.label(label(d)) }); {
		case !got.stands(want):
			why = "is on the series of " + got.String() + " and leads to " + s.String() + " of " + want.String()
		case !c.near(seconds(e.GetValue()), s.Duration()):
			why = "has the value " + seconds(e.GetValue()).String() + " and leads to " + s.String() + " of " + s.Duration().String()
		default:
			return
		}
	}
	c.addExemplar(e, "%s", why)
}

// stands reports whether the labels are those of a call, as far as limits on
// label values let it be seen.
func (v values) stands(call values) bool {
	for i := range v {
		if v[i] != call[i] && v[i] != other {
			return false
		}
	}
	return true
}

func (c *check) near(a, b time.Duration) bool { return (a - b).Abs() <= c.config.tolerance }

func seconds(v float64) time.Duration { return time.Duration(math.Round(v * float64(time.Second))) }

func (c *check) addExemplar(e exemplar, format string, args ...any) {
	c.add("%s "+format, append([]any{e}, args...)...)
	p := &c.found[len(c.found)-1]
	p.TraceID, p.SpanID = e.label(c.format.TraceID), e.label(c.format.SpanID)
}
