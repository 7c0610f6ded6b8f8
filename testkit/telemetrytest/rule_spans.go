// SPDX-License-Identifier: Apache-2.0

package telemetrytest

// clock is how a start or an end is shown: only the time of day matters within
// one run.
const clock = "15:04:05.000000000"

func findUnended(c *check) {
	for _, s := range c.spans {
		if s.ends == 0 {
			c.addSpan(s, "started at %s and never ended", s.Start.Format(clock))
		}
	}
}

func findTwice(c *check) {
	for _, s := range c.spans {
		if s.starts > 1 {
			c.addSpan(s, "%d spans were started with this id", s.starts)
		}
		if s.ends > 1 {
			c.addSpan(s, "ended %d times", s.ends)
		}
	}
}

func findTimes(c *check) {
	for _, s := range c.spans {
		if s.ends > 0 && s.End.Before(s.Start) {
			c.addSpan(s, "ended %s before it started", s.Start.Sub(s.End))
		}
		if p := s.ParentSpan(); p != nil && s.Start.Before(p.Start) {
			c.addSpan(s, "started %s before its parent, %s", p.Start.Sub(s.Start), p)
		}
	}
}

func findOrphans(c *check) {
	for _, s := range c.spans {
		if s.isOrphan() && !c.hasExternalParent(s) {
			where := "the run"
			if s.Parent.IsRemote() {
				where = "the run, though it came with a call"
			}
			c.addSpan(s, "its parent %s is not in %s", s.Parent.SpanID(), where)
		}
	}
}

func (c *check) hasExternalParent(s *Span) bool {
	if c.isExternal(s.Parent.TraceID().String(), s.Parent.SpanID().String()) {
		return true
	}
	for _, is := range c.config.externalFuncs {
		if is(s.Parent) {
			return true
		}
	}
	return false
}
