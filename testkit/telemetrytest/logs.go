// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import "slices"

// Logs is a set of a run's log lines, in the order they were written. Its
// assertions fail the test the run was taken for if they do not hold for every
// line, or if there is no line at all.
type Logs struct {
	run  *Run
	list []*Line
}

// All returns the lines.
func (ls Logs) All() []*Line { return slices.Clone(ls.list) }

// Len returns how many lines there are.
func (ls Logs) Len() int { return len(ls.list) }

// Where returns the lines that keep approves of.
func (ls Logs) Where(keep func(*Line) bool) Logs {
	kept := Logs{run: ls.run}
	for _, l := range ls.list {
		if keep(l) {
			kept.list = append(kept.list, l)
		}
	}
	return kept
}

// With returns the lines with that message.
func (ls Logs) With(message string) Logs {
	return ls.Where(func(l *Line) bool { return l.Message == message })
}

// AllCorrelated fails the test unless every line has its request's ids at its
// root, and they are the ids of a span of the run: the rules [LogCorrelated],
// [LogKnownID] and [LogContext]. Exceptions are declared with options.
func (ls Logs) AllCorrelated(opts ...Option) Logs {
	ls.run.helper()
	if len(ls.list) == 0 {
		ls.run.failf("telemetrytest: there is no log line to look at")
	}
	in := make(map[*Line]bool, len(ls.list))
	for _, l := range ls.list {
		in[l] = true
	}
	ls.run.assert([]Rule{LogCorrelated, LogKnownID, LogContext}, opts, func(p Problem) bool { return in[p.line] })
	return ls
}
