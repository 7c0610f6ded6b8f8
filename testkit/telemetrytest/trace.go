// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"slices"
	"strings"
)

// Trace is the spans of a run that have one trace id. Its assertions fail the
// test the run was taken for, and return the trace, so that they can be chained.
type Trace struct {
	run   *Run
	id    string
	spans []*Span // by start
}

// ID returns the trace id, 32 hex digits.
func (t *Trace) ID() string { return t.id }

// Spans returns the trace's spans by their start.
func (t *Trace) Spans() []*Span { return slices.Clone(t.spans) }

// Roots returns the spans whose parent is not in the run: the one where the
// trace began, those continued from outside, and orphans.
func (t *Trace) Roots() []*Span {
	var roots []*Span
	for _, s := range t.spans {
		if s.ParentSpan() == nil {
			roots = append(roots, s)
		}
	}
	return roots
}

// Services returns the names of the services with a span in the trace, in the
// order they came in.
func (t *Trace) Services() []string {
	var names []string
	for _, s := range t.spans {
		if !slices.Contains(names, s.Service) {
			names = append(names, s.Service)
		}
	}
	return names
}

// Logs returns the log lines that name this trace.
func (t *Trace) Logs() Logs {
	return t.run.Logs().Where(func(l *Line) bool { return l.TraceID == t.id })
}

// Span returns the first span of that name. If there is none it fails the test
// and returns a span that is in no run.
func (t *Trace) Span(name string) *Span {
	t.run.helper()
	for _, s := range t.spans {
		if s.Name == name {
			return s
		}
	}
	t.run.failf("telemetrytest: no span %q in\n%s", name, t.Tree())
	return &Span{Name: name, run: t.run, trace: t}
}

// Covers fails the test unless each of the services has a span in the trace.
func (t *Trace) Covers(services ...string) *Trace {
	t.run.helper()
	got := t.Services()
	var missing []string
	for _, s := range services {
		if !slices.Contains(got, s) {
			missing = append(missing, s)
		}
	}
	if missing != nil {
		t.run.failf("telemetrytest: the trace does not reach %s in\n%s", strings.Join(missing, ", "), t.Tree())
	}
	return t
}

// NoOrphans fails the test if a span's parent is not in the run. Parents
// outside of it are declared with [External] or [ExternalFunc].
func (t *Trace) NoOrphans(opts ...Option) *Trace {
	t.run.helper()
	t.run.assert([]Rule{SpanParent}, opts, func(p Problem) bool { return p.TraceID == t.id })
	return t
}

// Tree draws one trace of the run; see [Trace.Tree].
func (r *Run) Tree(id string) string {
	if t := r.traces[id]; t != nil {
		return t.Tree()
	}
	return "trace " + excerpt(id) + " is not in the run\n"
}

// Traces is a set of a run's traces, in the order they began. Its assertions
// hold for every trace of it, and fail if it is empty.
type Traces struct {
	run  *Run
	list []*Trace
}

// All returns the traces.
func (ts Traces) All() []*Trace { return slices.Clone(ts.list) }

// Len returns how many traces there are.
func (ts Traces) Len() int { return len(ts.list) }

// Where returns the traces that keep approves of.
func (ts Traces) Where(keep func(*Trace) bool) Traces {
	kept := Traces{run: ts.run}
	for _, t := range ts.list {
		if keep(t) {
			kept.list = append(kept.list, t)
		}
	}
	return kept
}

// With returns the traces that have a span of that name.
func (ts Traces) With(name string) Traces {
	return ts.Where(func(t *Trace) bool {
		return slices.ContainsFunc(t.spans, func(s *Span) bool { return s.Name == name })
	})
}

// Covers is [Trace.Covers] for every trace.
func (ts Traces) Covers(services ...string) Traces {
	ts.run.helper()
	ts.notEmpty()
	for _, t := range ts.list {
		t.Covers(services...)
	}
	return ts
}

// NoOrphans is [Trace.NoOrphans] for every trace.
func (ts Traces) NoOrphans(opts ...Option) Traces {
	ts.run.helper()
	ts.notEmpty()
	ids := make(map[string]bool, len(ts.list))
	for _, t := range ts.list {
		ids[t.id] = true
	}
	ts.run.assert([]Rule{SpanParent}, opts, func(p Problem) bool { return ids[p.TraceID] })
	return ts
}

func (ts Traces) notEmpty() {
	ts.run.helper()
	if len(ts.list) == 0 {
		ts.run.failf("telemetrytest: there is no trace to look at")
	}
}
