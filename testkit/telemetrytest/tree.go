// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"strings"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxTree is how many spans of a trace are drawn.
const maxTree = 100

// tree draws one trace.
type tree struct {
	strings.Builder
	drawn map[*Span]bool
}

// Tree draws the trace, a line a span: name, service, kind, duration, id and
// what is wrong with it. At most 100 spans are drawn.
func (t *Trace) Tree() string {
	d := &tree{drawn: map[*Span]bool{}}
	d.WriteString("trace " + t.id + "\n")
	roots := t.Roots()
	for i, s := range roots {
		d.draw(s, "", i == len(roots)-1)
	}
	for _, s := range t.spans {
		if !d.drawn[s] && len(d.drawn) < maxTree {
			d.draw(s, "", true) // its parents go round in a circle
		}
	}
	if left := len(t.spans) - len(d.drawn); left > 0 {
		d.WriteString("… and " + count(left, "more span") + "\n")
	}
	return d.String()
}

func (d *tree) draw(s *Span, indent string, last bool) {
	if d.drawn[s] || len(d.drawn) >= maxTree {
		return
	}
	d.drawn[s] = true
	branch, below := "├─ ", "│  "
	if last {
		branch, below = "└─ ", "   "
	}
	d.WriteString(indent + branch + s.summary() + "\n")
	for i, c := range s.children {
		d.draw(c, indent+below, i == len(s.children)-1)
	}
}

// summary is the span's line in the tree.
func (s *Span) summary() string {
	words := []string{excerpt(s.Name)}
	if s.Service != "" {
		words = append(words, s.Service)
	}
	if s.Kind != trace.SpanKindUnspecified {
		words = append(words, s.Kind.String())
	}
	if s.ends > 0 {
		words = append(words, s.Duration().String())
	}
	words = append(words, s.SpanID())
	if s.Status == codes.Error {
		words = append(words, strings.TrimSpace("ERROR "+excerpt(s.StatusMessage)))
	}
	if s.ends == 0 {
		words = append(words, "NOT ENDED")
	}
	if !s.Context.IsSampled() {
		words = append(words, "NOT SAMPLED")
	}
	if s.isOrphan() {
		words = append(words, "PARENT "+s.Parent.SpanID().String()+" IS NOT IN THE RUN")
	}
	return strings.Join(words, "  ")
}

// isOrphan reports whether the span has a parent that the run does not have.
func (s *Span) isOrphan() bool { return s.Parent.SpanID().IsValid() && s.ParentSpan() == nil }
