// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"math"
	"strconv"
	"time"
)

// findCallLines pairs spans and request log lines, one to one.
func findCallLines(c *check) {
	lines := map[*Span]int{}
	for _, l := range c.lines {
		k := c.lineKind(l)
		if k == nil {
			continue
		}
		s := l.Span()
		if s == nil {
			continue // whether the line's ids may be unknown is another rule
		}
		lines[s]++
		if c.callKind(s) != k {
			c.addLine(l, "%s is no %s, and a line says so", s, k.Name)
		}
	}
	for _, s := range c.spans {
		k := c.callKind(s)
		if k == nil || k.Message == "" || s.ends == 0 {
			continue
		}
		switch n := lines[s]; {
		case n > 1:
			c.addSpan(s, "%d request log lines name this %s", n, k.Name)
		case n == 0 && !c.isUnlogged(s):
			c.addSpan(s, "no request log line names this %s", k.Name)
		}
	}
}

// eachCall calls f for every request log line whose span is a call of its kind.
func (c *check) eachCall(f func(*Line, *Span, *CallKind)) {
	for _, l := range c.lines {
		k := c.lineKind(l)
		if k == nil {
			continue
		}
		if s := l.Span(); s != nil && s.ends > 0 && c.callKind(s) == k {
			f(l, s, k)
		}
	}
}

func findCallFields(c *check) {
	c.eachCall(func(l *Line, s *Span, k *CallKind) {
		for _, key := range append(k.dims(), errorTypeKey) {
			if line, span := l.text(key), s.attrText(key); line != span {
				c.addLine(l, "%s has %s=%q, and its line %q", s, key, excerpt(span), excerpt(line))
			}
		}
	})
}

func findCallDurations(c *check) {
	c.eachCall(func(l *Line, s *Span, _ *CallKind) {
		text := l.text(c.format.Duration)
		ms, err := strconv.ParseFloat(text, 64)
		if err != nil {
			c.addLine(l, "%s of a request log line is %q: must be a number of milliseconds", c.format.Duration, excerpt(text))
			return
		}
		d := time.Duration(math.Round(ms * float64(time.Millisecond)))
		if !c.near(d, s.Duration()) {
			c.addLine(l, "%s took %s, and its line says %s", s, s.Duration(), d)
		}
	})
}
