// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// state is a metric whose values are looked up when somebody scrapes.
type state struct {
	desc   *prometheus.Desc
	labels int
	kind   prometheus.ValueType
}

func newState(m *Metric) *state {
	kind := prometheus.GaugeValue
	if m.Kind == KindCounter {
		kind = prometheus.CounterValue
	}
	return &state{newDesc(m), len(m.Labels), kind}
}

// values are what states have at one moment. Those of the same labels, such as past a
// cap, share one.
type values map[series]float64

type series struct {
	state  *state
	labels [2]string
}

func keyOf(s *state, labels []string) series {
	k := series{state: s}
	copy(k.labels[:], labels)
	return k
}

func (v values) add(s *state, x float64, labels ...string) { v[keyOf(s, labels)] += x }

// set makes the value the better of x and what is there.
func (v values) set(s *state, x float64, better func(a, b float64) bool, labels ...string) {
	k := keyOf(s, labels)
	if old, ok := v[k]; !ok || better(x, old) {
		v[k] = x
	}
}

func more(a, b float64) bool { return a > b }
func less(a, b float64) bool { return a < b }

// of adds 1 to the value that is so and nothing to the others, so that they are there.
func of[T comparable](v values, s *state, is T, name func(T) string, all []T, label string) {
	for _, one := range all {
		x := 0.0
		if one == is {
			x = 1
		}
		v.add(s, x, label, name(one))
	}
}

// upTo returns all values of an enumeration that begins with 0.
func upTo[T ~uint8](last T) []T {
	all := make([]T, 0, last+1)
	for i := range last + 1 {
		all = append(all, i)
	}
	return all
}

// sources are functions that say how something is, each at a scrape.
type sources[T any] struct {
	mu  sync.Mutex
	all []T
}

func (s *sources[T]) add(source T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, source)
}

func (s *sources[T]) list() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// states are all of those there can be.
func (s *Set) states() []*state {
	return slices.Concat(s.discovery.states(), s.registries.states(), s.balancers.states(), s.checks.states())
}

// lookUp returns the values of all states. What balancers did is in their counters then.
func (s *Set) lookUp() values {
	v := values{}
	s.discovery.collect(v)
	s.registries.collect(v)
	s.balancers.collect(v)
	s.checks.collect(v)
	return v
}

func (v values) collect(ch chan<- prometheus.Metric) {
	for k, x := range v {
		ch <- constMetric(k.state.desc, k.state.kind, x, k.labels[:k.state.labels]...)
	}
}

// inc adds n to the counter of these label values, which are admitted already. It is for
// what happens now and then.
func inc(v *prometheus.CounterVec, n int, labels ...string) {
	if n <= 0 {
		return
	}
	if c, err := v.GetMetricWithLabelValues(labels...); err == nil {
		c.Add(float64(n))
	}
}
