// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Span is one span of a run. It is only to be read. Of a span that was never
// ended, what is set at the end is missing: status, attributes, links, events.
type Span struct {
	Name    string
	Service string // the resource's service.name
	Scope   string // the instrumentation scope's name
	Kind    trace.SpanKind
	Context trace.SpanContext
	Parent  trace.SpanContext // invalid if there is none
	Start   time.Time
	End     time.Time // zero if the span was never ended

	Status        codes.Code
	StatusMessage string
	Attributes    []attribute.KeyValue
	Links         []sdktrace.Link
	Events        []sdktrace.Event

	run          *Run
	trace        *Trace
	children     []*Span
	starts, ends int
}

// TraceID returns the id of the span's trace, 32 hex digits.
func (s *Span) TraceID() string { return s.Context.TraceID().String() }

// SpanID returns the span's id, 16 hex digits.
func (s *Span) SpanID() string { return s.Context.SpanID().String() }

// Duration returns the time from start to end; zero if the span was never ended.
func (s *Span) Duration() time.Duration {
	if s.ends == 0 {
		return 0
	}
	return s.End.Sub(s.Start)
}

// Attr returns the value of an attribute, and whether it is there.
func (s *Span) Attr(key string) (attribute.Value, bool) {
	for _, kv := range s.Attributes {
		if string(kv.Key) == key {
			return kv.Value, true
		}
	}
	return attribute.Value{}, false
}

// Trace returns the trace that the span is in.
func (s *Span) Trace() *Trace { return s.trace }

// ParentSpan returns the span's parent, or nil if the run does not have it.
func (s *Span) ParentSpan() *Span {
	if !s.Parent.SpanID().IsValid() {
		return nil
	}
	return s.run.byID[keyOf(s.Parent)]
}

// Children returns the spans directly below this one, by their start.
func (s *Span) Children() []*Span { return slices.Clone(s.children) }

// Logs returns the lines that name this span.
func (s *Span) Logs() Logs {
	return s.run.Logs().Where(func(l *Line) bool { return l.SpanID == s.SpanID() && l.TraceID == s.TraceID() })
}

// IsAncestorOf fails the test unless each of the named spans is somewhere below
// this one. It returns s.
func (s *Span) IsAncestorOf(names ...string) *Span {
	s.run.helper()
	for _, name := range names {
		if !s.hasBelow(name) {
			s.run.failf("telemetrytest: no span %q below %s\n%s", name, s, s.trace.Tree())
		}
	}
	return s
}

// IsDescendantOf fails the test unless each of the named spans is somewhere
// above this one. It returns s.
func (s *Span) IsDescendantOf(names ...string) *Span {
	s.run.helper()
	for _, name := range names {
		if !s.hasAbove(name) {
			s.run.failf("telemetrytest: no span %q above %s\n%s", name, s, s.trace.Tree())
		}
	}
	return s
}

func (s *Span) hasBelow(name string) bool {
	return slices.ContainsFunc(s.trace.spans, func(o *Span) bool {
		return o.Name == name && slices.Contains(o.above(), s)
	})
}

func (s *Span) hasAbove(name string) bool {
	return slices.ContainsFunc(s.above(), func(o *Span) bool { return o.Name == name })
}

// above returns the spans from the parent up. A cycle, which only made-up ids
// can bring about, ends it.
func (s *Span) above() []*Span {
	var up []*Span
	for p := s.ParentSpan(); p != nil && p != s && !slices.Contains(up, p); p = p.ParentSpan() {
		up = append(up, p)
	}
	return up
}

// String returns the span's name, service and ids.
func (s *Span) String() string {
	var b strings.Builder
	b.WriteString(`span "` + excerpt(s.Name) + `"`)
	if s.Service != "" {
		b.WriteString(" of " + s.Service)
	}
	b.WriteString(" (trace " + s.TraceID() + ", span " + s.SpanID() + ")")
	return b.String()
}

// byStart orders spans by their start, and those that start together by id, so
// that a tree is drawn the same way each time.
func byStart(a, b *Span) int {
	return cmp.Or(a.Start.Compare(b.Start), strings.Compare(a.SpanID(), b.SpanID()))
}
