// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"maps"
	"slices"
	"strings"
)

// tally counts calls by service and dims.
type tally map[string]*row

// row is the count of one kind of call to one service.
type row struct {
	service string
	values  values
	calls   uint64 // as spans and lines have them
	counted uint64 // as the histogram has them
	example *Span
}

func (t tally) row(service string, v values) *row {
	key := service + "\x00" + strings.Join(v, "\x00")
	r := t[key]
	if r == nil {
		r = &row{service: service, values: v}
		t[key] = r
	}
	return r
}

// findCallCounts compares the histograms of calls with the calls known: those
// with a span, and those of unsampled traces that only have a line.
func findCallCounts(c *check) {
	for i := range c.config.calls {
		if k := &c.config.calls[i]; k.Metric != "" {
			c.compareCounts(k)
		}
	}
}

func (c *check) compareCounts(k *CallKind) {
	measured := c.measured()
	if len(measured) == 0 {
		return
	}
	// One registry that serves everybody cannot be told apart by service.
	service := func(name string) string {
		if measured[""] {
			return ""
		}
		return name
	}
	rows, admitted := tally{}, admissions{}
	c.eachSeries(func(s series) {
		if s.family != k.Metric {
			return
		}
		v := k.of(func(d string) string { return s.label(label(d)) })
		admitted.add(service(s.service), v)
		rows.row(service(s.service), v).counted += s.metric.GetHistogram().GetSampleCount()
	})
	c.eachKnownCall(k, func(name string, v values, s *Span) {
		if name = service(name); !measured[name] {
			return
		}
		r := rows.row(name, admitted.within(name, v))
		r.calls++
		r.example = s
	})
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		r := rows[key]
		if r.counted > r.calls && c.mayHide(k, r.service) {
			continue
		}
		if r.counted != r.calls {
			c.addCount(k, r)
		}
	}
}

// measured returns the services that have a registry in the run.
func (c *check) measured() map[string]bool {
	services := map[string]bool{}
	for _, g := range c.metrics {
		services[g.service] = true
	}
	return services
}

// mayHide reports whether the run may lack calls of a service that its metrics
// have: unsampled ones, if they have no request log line either.
func (c *check) mayHide(k *CallKind, service string) bool {
	sampledAll := len(c.unsampled) == 0 && len(c.config.unsampled) == 0
	return !sampledAll && (k.Message == "" || !c.logs(service) || len(c.config.unlogged) > 0)
}

// eachKnownCall calls f for every call of a kind that has ended; s is nil if
// only its line is known.
func (c *check) eachKnownCall(k *CallKind, f func(service string, v values, s *Span)) {
	for _, s := range c.spans {
		if s.ends > 0 && c.callKind(s) == k {
			f(s.Service, k.of(s.attrText), s)
		}
	}
	for _, l := range c.lines {
		if c.lineKind(l) == k && l.Span() == nil && c.isUnsampled(l.TraceID) {
			f(l.Service, k.of(l.text), nil)
		}
	}
}

// admissions are the values that the metrics of each service have let in.
type admissions map[admission]bool

type admission struct {
	service string
	dim     int
	value   string
}

func (a admissions) add(service string, v values) {
	for i := range v {
		a[admission{service, i, v[i]}] = true
	}
}

// within returns v as the service's metric would have it: values that its guard
// refused are counted under another name.
func (a admissions) within(service string, v values) values {
	w := slices.Clone(v)
	for i := range w {
		if !a[admission{service, i, w[i]}] && a[admission{service, i, other}] {
			w[i] = other
		}
	}
	return w
}

func (c *check) addCount(k *CallKind, r *row) {
	c.add("%s%s: %d in %s, and %s as spans and log lines",
		k.Name+" "+r.values.String(), ofService(r.service), r.counted, k.Metric, count(int(r.calls), "call"))
	if r.example != nil {
		p := &c.found[len(c.found)-1]
		p.TraceID, p.SpanID = r.example.TraceID(), r.example.SpanID()
	}
}
