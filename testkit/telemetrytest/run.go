// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// TB is the part of [testing.TB] that is needed here.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Run is what a [Recorder] had taken in at one moment. It does not change any
// more, and is safe for concurrent use.
type Run struct {
	t      TB
	format LogFormat

	spans     []*Span
	byID      map[spanKey]*Span
	traces    map[string]*Trace
	inOrder   []*Trace
	unsampled map[trace.TraceID]bool
	lines     []*Line
	metrics   []gathered

	loggers              map[string]bool // services with a log sink
	lostSpans, lostLines int
}

// Run takes what has been recorded so far and gathers the metrics. The
// assertions on the run and its parts report to t; without one, outside of a
// test, they panic.
func (r *Recorder) Run(t TB) *Run {
	run := &Run{
		t: t, format: r.config.format,
		byID: map[spanKey]*Span{}, traces: map[string]*Trace{},
		unsampled: map[trace.TraceID]bool{}, loggers: map[string]bool{},
	}
	for _, raw := range r.copyTo(run) {
		l := newLine(run, raw)
		run.lines = append(run.lines, l)
		run.loggers[l.Service] = true
	}
	run.link()
	for _, g := range r.sources() {
		run.metrics = append(run.metrics, gather(g))
	}
	return run
}

// copyTo fills run with what needs the lock, and returns the lines.
func (r *Recorder) copyTo(run *Run) []rawLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.order {
		s := e.span
		s.run, s.starts, s.ends = run, e.starts, e.ends
		run.spans = append(run.spans, &s)
		run.byID[keyOf(s.Context)] = &s
	}
	for id := range r.unsampled {
		run.unsampled[id] = true
	}
	run.lostSpans, run.lostLines = r.lostSpans, r.lostLines
	for _, service := range r.sinks {
		run.loggers[service] = true
	}
	lines := slices.Clone(r.lines)
	for _, w := range r.writers {
		if len(w.rest) > 0 {
			lines = append(lines, rawLine{text: string(w.rest), service: w.service, cut: true})
		}
	}
	return lines
}

func (r *Recorder) sources() []gatherer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.gatherers)
}

// link ties the spans to their parents and traces.
func (r *Run) link() {
	slices.SortFunc(r.spans, byStart)
	for _, s := range r.spans {
		id := s.TraceID()
		t := r.traces[id]
		if t == nil {
			t = &Trace{run: r, id: id}
			r.traces[id] = t
			r.inOrder = append(r.inOrder, t)
		}
		t.spans = append(t.spans, s)
		s.trace = t
		if p := s.ParentSpan(); p != nil {
			p.children = append(p.children, s)
		}
	}
}

// Spans returns all spans by their start.
func (r *Run) Spans() []*Span { return slices.Clone(r.spans) }

// Traces returns all traces in the order they began.
func (r *Run) Traces() Traces { return Traces{run: r, list: r.inOrder} }

// Trace returns the trace of that id, 32 hex digits. If there is none it fails
// the test and returns a trace without spans.
func (r *Run) Trace(id string) *Trace {
	r.helper()
	if t := r.traces[id]; t != nil {
		return t
	}
	r.failf("telemetrytest: trace %q is not in the run, which has %s", excerpt(id), count(len(r.traces), "trace"))
	return &Trace{run: r, id: id}
}

// Logs returns all log lines in the order they were written.
func (r *Run) Logs() Logs { return Logs{run: r, list: r.lines} }

// assert reports what the rules find, as far as it concerns what is asserted.
func (r *Run) assert(rules []Rule, opts []Option, concerns func(Problem) bool) {
	r.helper()
	var problems []Problem
	for _, p := range r.problems(rules, opts) {
		if concerns(p) {
			problems = append(problems, p)
		}
	}
	report(r.reporter(), r, problems)
}

func (r *Run) reporter() TB {
	if r.t == nil {
		return panicking{}
	}
	return r.t
}

func (r *Run) failf(format string, args ...any) {
	t := r.reporter()
	t.Helper()
	t.Errorf(format, args...)
}

func (r *Run) helper() { r.reporter().Helper() }

// panicking stands in for a test where there is none.
type panicking struct{}

func (panicking) Helper() {}

func (panicking) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// count returns "1 span" or "2 spans".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
