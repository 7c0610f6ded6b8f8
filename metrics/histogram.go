// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram is a Prometheus histogram (or summary, which has no exemplars) that
// takes exemplars safely and cheaply: never of an unsampled trace, never a
// panic, and per bucket at most one in each [DefaultExemplarInterval]. The others
// would be overwritten before anybody saw them.
//
// A nil *Histogram observes nothing. It is safe for concurrent use and allocates
// only for an exemplar that is kept.
type Histogram struct {
	observer  prometheus.Observer
	exemplars prometheus.ExemplarObserver // nil if the observer takes none
	bounds    []float64
	gates     []gate // one per bound, and one for what is above
	interval  time.Duration
}

// WrapHistogram returns o with safe exemplars. Bounds are the upper bounds of its
// classic buckets in increasing order; they say which exemplars replace each
// other. With none, there is one gate for all values.
func WrapHistogram(o prometheus.Observer, bounds ...float64) *Histogram {
	return newHistogram(o, slices.Clone(bounds), DefaultExemplarInterval)
}

// newHistogram keeps bounds. An interval below zero means no exemplars.
func newHistogram(o prometheus.Observer, bounds []float64, interval time.Duration) *Histogram {
	h := &Histogram{observer: o, bounds: bounds, interval: interval}
	if interval >= 0 {
		h.exemplars, _ = o.(prometheus.ExemplarObserver)
	}
	if h.exemplars != nil {
		h.gates = make([]gate, len(bounds)+1)
	}
	return h
}

// Observe counts v, in the histogram's own unit. NaN is dropped: it would make
// the sum NaN for ever.
func (h *Histogram) Observe(v float64, ex Exemplar) {
	if h == nil || math.IsNaN(v) {
		return
	}
	if ex.Sampled && h.exemplars != nil && h.gates[h.bucket(v)].pass(ex.instant(), h.interval) {
		if labels := ex.labels(); labels != nil {
			h.exemplars.ObserveWithExemplar(v, labels)
			return
		}
	}
	h.observer.Observe(v)
}

// ObserveContext counts v with the exemplar of the request in ctx.
func (h *Histogram) ObserveContext(ctx context.Context, v float64) {
	h.Observe(v, ExemplarFrom(ctx))
}

// observeDuration counts d in seconds; a clock that went back counts as zero.
func (h *Histogram) observeDuration(d time.Duration, ex Exemplar) {
	h.Observe(float64(max(d, 0))/float64(time.Second), ex)
}

func (h *Histogram) bucket(v float64) int {
	for i, bound := range h.bounds {
		if v <= bound {
			return i
		}
	}
	return len(h.bounds)
}
