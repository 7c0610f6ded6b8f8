// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import "regexp"

// idLike finds 32 hex digits or a UUID that stands by itself in a value; a
// longer run of digits, such as a Git revision, is none.
var idLike = regexp.MustCompile(`(?i)(?:^|[^0-9a-z])([0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:$|[^0-9a-z])`)

func findIDLabels(c *check) {
	c.eachSeries(func(s series) {
		for _, l := range s.metric.GetLabel() {
			if !c.config.idLabels[l.GetName()] && idLike.MatchString(l.GetValue()) {
				c.add("label %s of %s looks like an id", l.GetName(), s)
			}
		}
	})
}

func findManySeries(c *check) {
	for _, g := range c.metrics {
		for _, family := range g.families {
			if n := len(family.GetMetric()); n > c.config.maxSeries {
				c.add("%s%s has %d series, and may have %d", family.GetName(), ofService(g.service), n, c.config.maxSeries)
			}
		}
	}
}
