// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Panic counts a recovered panic. source says where it was recovered, in few
// values such as "grpc.server" and "http.server". Panics of work started by ctxutil
// are in fairlead_goroutines_ended_total.
func (s *Set) Panic(source string, ex Exemplar) {
	if s == nil {
		return
	}
	c, ok := s.panicCounts.load(source)
	if !ok {
		source = s.sources.Value(source)
		c, _ = s.panicCounts.loadOrStore(source, func() *Counter {
			child, err := s.panics.GetMetricWithLabelValues(source)
			if err != nil {
				return nil
			}
			return newCounter(child, s.cfg.exemplarInterval)
		})
	}
	c.Inc(ex)
}

// drop is one source of numbers for fairlead_telemetry_dropped_total.
type drop struct {
	signal, reason string
	count          func() uint64
}

// CountDrops makes count a part of fairlead_telemetry_dropped_total. signal is
// "log", "trace" or "metric"; reason says why in one word, such as "sampled" or
// "queue_full". Both are fixed in the program, never taken from a request. count
// must only go up; it is called at each scrape, must not block, and may be called
// concurrently. Counts of the same signal and reason are added up.
func (s *Set) CountDrops(signal, reason string, count func() uint64) {
	if s == nil || count == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops = append(s.drops, drop{sanitize(signal), sanitize(reason), count})
}

// Guard returns a new guard for label that admits at most maxValues values and is
// reported with those of s. It fails as [NewGuard] does, and if s has one for
// label already.
func (s *Set) Guard(label string, maxValues int) (*Guard, error) {
	g, err := NewGuard(label, maxValues)
	if err != nil || s == nil {
		return g, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.guards {
		if other.label == label {
			return nil, fmt.Errorf("metrics: Guard: label %q is guarded already", label)
		}
	}
	s.guards = append(s.guards, g)
	return g, nil
}

// Offenders returns, for each label that refused values, how many and a sample of
// them, ordered by label. Series past the cap of a metric are there under the
// metric's name.
func (s *Set) Offenders() []Offender {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	guards := slices.Clone(s.guards)
	s.mu.Unlock()
	var offenders []Offender
	for _, g := range guards {
		if o := g.Offenders(); o.Refused > 0 {
			offenders = append(offenders, o)
		}
	}
	slices.SortFunc(offenders, func(a, b Offender) int { return cmp.Compare(a.Label, b.Label) })
	return offenders
}

func (s *Set) collectGuards(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	guards := slices.Clone(s.guards)
	s.mu.Unlock()
	for _, g := range guards {
		ch <- constMetric(s.descOverflow, prometheus.CounterValue, float64(g.Refused()), g.label)
		if g.admitted.limit > 0 {
			ch <- constMetric(s.descValues, prometheus.GaugeValue, float64(g.Len()), g.label)
		}
	}
}

func (s *Set) collectDrops(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	drops := slices.Clone(s.drops)
	s.mu.Unlock()
	sums := map[[2]string]uint64{}
	for _, d := range drops {
		sums[[2]string{d.signal, d.reason}] += d.count()
	}
	for k, n := range sums {
		ch <- constMetric(s.descDropped, prometheus.CounterValue, float64(n), k[0], k[1])
	}
}

// constMetric returns a metric that, if client_golang refuses it, makes the scrape
// fail with the reason instead of the process.
func constMetric(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) prometheus.Metric {
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}
