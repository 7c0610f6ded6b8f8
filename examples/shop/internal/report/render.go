// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth bounds how deep a tree is drawn: ids come from outside.
const maxDepth = 64

// Render draws the trace for a terminal: its spans as a tree and, below, its log
// lines in the order they were written, each with the span it belongs to. A log
// line or a span that does not fit in says so.
func (t *Trace) Render() string {
	d := &drawing{children: make(map[string][]int), known: make(map[string]bool)}
	for _, s := range t.Spans {
		d.known[s.ID] = true
	}
	var roots []int
	for i, s := range t.Spans {
		if s.ParentID != "" && d.known[s.ParentID] && s.ParentID != s.ID {
			d.children[s.ParentID] = append(d.children[s.ParentID], i)
		} else {
			roots = append(roots, i)
		}
	}
	services := make(map[string]bool)
	for _, s := range t.Spans {
		services[s.Service] = true
	}
	fmt.Fprintf(&d.out, "trace %s: %d spans of %d services, %d log lines\n", t.ID, len(t.Spans), len(services), len(t.Lines))
	if t.Dropped > 0 {
		fmt.Fprintf(&d.out, "(%d more were too many to keep)\n", t.Dropped)
	}
	if len(t.Spans) > 0 {
		d.begin = t.Spans[0].Start
	}
	d.measure(t, roots, 0)
	for i, root := range roots {
		d.span(t, root, "", i == len(roots)-1, 0)
	}
	d.lines(t)
	return d.out.String()
}

// drawing is a trace being drawn.
type drawing struct {
	out      strings.Builder
	children map[string][]int // index of spans by their parent's id
	known    map[string]bool
	begin    time.Time
	width    int // of the widest branch with its name
}

// measure finds the width of the column with the names.
func (d *drawing) measure(t *Trace, spans []int, depth int) {
	if depth > maxDepth {
		return
	}
	for _, i := range spans {
		d.width = max(d.width, 3*(depth+1)+utf8.RuneCountInString(t.Spans[i].label()))
		d.measure(t, d.children[t.Spans[i].ID], depth+1)
	}
}

func (s Span) label() string { return s.Service + "  " + s.Name }

func (d *drawing) span(t *Trace, i int, indent string, last bool, depth int) {
	if depth > maxDepth {
		return
	}
	branch, below := "├─ ", "│  "
	if last {
		branch, below = "└─ ", "   "
	}
	s := t.Spans[i]
	name := indent + branch + s.label()
	fmt.Fprintf(&d.out, "%s%s  %-8s %9s %9s  %s", name, pad(name, d.width), s.Kind,
		"+"+milliseconds(s.Start.Sub(d.begin)), milliseconds(s.Duration), short(s.ID))
	if s.ParentID != "" && !d.known[s.ParentID] {
		fmt.Fprintf(&d.out, "  (parent %s is not here)", short(s.ParentID))
	}
	if s.Failed {
		d.out.WriteString("  ERROR " + oneLine(s.Message))
	}
	d.out.WriteByte('\n')
	children := d.children[s.ID]
	d.events(s, indent+below, len(children) > 0)
	for n, child := range children {
		d.span(t, child, indent+below, n == len(children)-1, depth+1)
	}
}

// events draws what happened during a span, between it and its children.
func (d *drawing) events(s Span, indent string, more bool) {
	branch := "   "
	if more {
		branch = "│  "
	}
	for _, e := range s.Events {
		line := fmt.Sprintf("%s%s• +%s %s  %s", indent, branch, milliseconds(e.At.Sub(d.begin)), oneLine(e.Name), e.Text)
		d.out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (d *drawing) lines(t *Trace) {
	for _, raw := range t.Lines {
		l := parseLine(raw)
		var offset, note string
		if !l.Time.IsZero() {
			offset = "+" + milliseconds(l.Time.Sub(d.begin))
		}
		if !d.known[l.SpanID] {
			note = "  (span is not here)"
		}
		fmt.Fprintf(&d.out, "%10s  %s  %-9s %-5s %s%s%s\n", offset,
			short(l.SpanID), l.Service, l.Level, oneLine(l.Message), l.rest(), note)
	}
}

func pad(s string, width int) string {
	return strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func short(id string) string { return fmt.Sprintf("%-8.8s", id) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
}

// oneLine makes text from outside safe to print.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
