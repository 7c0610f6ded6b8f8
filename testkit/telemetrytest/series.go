// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// gathered is the metrics of one registry.
type gathered struct {
	service  string
	families []*dto.MetricFamily
	err      error
}

func gather(g gatherer) gathered {
	families, err := g.source.Gather()
	return gathered{g.service, families, err}
}

// series is one combination of labels of one metric.
type series struct {
	service string
	family  string
	metric  *dto.Metric
}

// label returns the value of a label; "" for one that is absent, which is the
// same to Prometheus.
func (s series) label(name string) string {
	for _, l := range s.metric.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// String returns the series as Prometheus writes it.
func (s series) String() string {
	var b strings.Builder
	b.WriteString(s.family + "{")
	for i, l := range s.metric.GetLabel() {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(l.GetName() + `="` + excerpt(l.GetValue()) + `"`)
	}
	b.WriteString("}" + ofService(s.service))
	return b.String()
}

// eachSeries calls f for every series of the run.
func (c *check) eachSeries(f func(series)) {
	for _, g := range c.metrics {
		for _, family := range g.families {
			for _, m := range family.GetMetric() {
				f(series{g.service, family.GetName(), m})
			}
		}
	}
}

// exemplar is one exemplar and where it hangs.
type exemplar struct {
	series
	*dto.Exemplar
	above, upTo float64 // the bounds of its bucket; infinite if there are none
}

// label returns the value of one of the exemplar's own labels.
func (e exemplar) label(name string) string {
	for _, l := range e.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (e exemplar) String() string {
	var labels []string
	for _, l := range e.GetLabel() {
		labels = append(labels, l.GetName()+`="`+excerpt(l.GetValue())+`"`)
	}
	return "exemplar {" + strings.Join(labels, ",") + "} of " + e.series.String()
}

// exemplars returns every exemplar of a series.
func (s series) exemplars() []exemplar {
	var all []exemplar
	inf := math.Inf(1)
	add := func(e *dto.Exemplar, above, upTo float64) {
		if e != nil {
			all = append(all, exemplar{s, e, above, upTo})
		}
	}
	add(s.metric.GetCounter().GetExemplar(), -inf, inf)
	h := s.metric.GetHistogram()
	above := -inf
	for _, b := range h.GetBucket() {
		add(b.GetExemplar(), above, b.GetUpperBound())
		above = b.GetUpperBound()
	}
	for _, e := range h.GetExemplars() { // of a native histogram
		add(e, -inf, inf)
	}
	return all
}

// eachExemplar calls f for every exemplar of the run.
func (c *check) eachExemplar(f func(exemplar)) {
	c.eachSeries(func(s series) {
		for _, e := range s.exemplars() {
			f(e)
		}
	})
}
