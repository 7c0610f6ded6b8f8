// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import "strconv"

// degradedKey says on a span which fallback stood in for what failed.
const degradedKey = "fairlead.degraded"

// transparentKey marks attempts that repeat one which the server has not seen;
// they are nobody's retry, and do not count.
const transparentKey = "transparent-retry"

// findCallAttempts compares the attempts below a call's span with what its line
// says. Of a call that was tried once, lines say nothing.
func findCallAttempts(c *check) {
	attempts := map[*Span]int{}
	seen := map[attempt]bool{}
	for _, s := range c.spans {
		k := c.callKind(s)
		if k == nil || k.AttemptOf == "" || s.attrText(transparentKey) == "true" {
			continue
		}
		call := c.callAbove(s, k.AttemptOf)
		if call == nil {
			continue
		}
		attempts[call]++
		a := attempt{call, s.attrText(k.mark())}
		if seen[a] {
			c.addSpan(s, "another attempt of %s has %s=%s too", call, k.mark(), a.number)
		}
		seen[a] = true
	}
	c.eachCall(func(l *Line, s *Span, _ *CallKind) {
		want := ""
		if n := attempts[s]; n > 1 {
			want = strconv.Itoa(n)
		}
		if got := l.text(c.format.Attempts); got != want {
			c.addLine(l, "%s has %s, and its line says %q", s, count(attempts[s], "attempt"), excerpt(got))
		}
	})
}

// attempt is a number that one attempt of a call may have.
type attempt struct {
	call   *Span
	number string
}

// callAbove returns the nearest call above s if it is of the named kind, or nil.
func (c *check) callAbove(s *Span, kind string) *Span {
	for _, p := range s.above() {
		if k := c.callKind(p); k != nil {
			if k.Name == kind {
				return p
			}
			return nil
		}
	}
	return nil
}

func findCallDegraded(c *check) {
	c.eachCall(func(l *Line, s *Span, _ *CallKind) {
		if line, span := l.text(c.format.Degraded), s.attrText(degradedKey); line != span {
			c.addLine(l, "%s has %s=%q, and its line %s=%q", s, degradedKey, excerpt(span), c.format.Degraded, excerpt(line))
		}
	})
}
