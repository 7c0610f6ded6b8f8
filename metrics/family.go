// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// overflowStatuses bounds the children that a family past its cap still makes:
// one per status, with and without an error type.
const overflowStatuses = 400

// family is one duration metric and its children. It is the slow path: what asks
// keeps the child it got.
type family struct {
	vec      *prometheus.HistogramVec
	bounds   []float64
	interval time.Duration
	// status is the index of the label that stays when the family overflows,
	// below zero if none does.
	status   int
	children cache[string, *Histogram]
	// overflow holds the children made past the cap.
	overflow cache[string, *Histogram]
	guard    *Guard // counts what was past the cap; admits nothing itself
}

func newFamily(c *config, m *Metric, bounds []float64, status string) *family {
	opts := prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: bounds}
	if c.native {
		opts.NativeHistogramBucketFactor = nativeBucketFactor
		opts.NativeHistogramMaxBucketNumber = nativeMaxBuckets
		opts.NativeHistogramMinResetDuration = nativeMinReset
	}
	if c.withoutClassic {
		opts.Buckets = nil
	}
	f := &family{
		vec:      prometheus.NewHistogramVec(opts, m.Labels),
		bounds:   bounds,
		interval: c.exemplarInterval,
		status:   -1,
		guard:    newGuard(m.Name, 0),
	}
	for i, name := range m.Labels {
		if name == status {
			f.status = i
		}
	}
	f.children.limit = c.seriesCap
	f.overflow.limit = overflowStatuses
	return f
}

// child returns the histogram of these label values, which are admitted already.
// Past the cap every label but the status is collapsed into Other.
func (f *family) child(values ...string) *Histogram {
	key := strings.Join(values, "\x00")
	h, ok := f.children.load(key)
	if ok {
		return h
	}
	if h, ok = f.children.loadOrStore(key, func() *Histogram { return f.histogram(values) }); ok {
		return h
	}
	f.guard.refuse(strings.Join(values, " "))
	for i, v := range values {
		if i != f.status && v != "" {
			values[i] = Other
		}
	}
	h, _ = f.overflow.loadOrStore(strings.Join(values, "\x00"), func() *Histogram { return f.histogram(values) })
	return h
}

// histogram returns a new child; nil, which observes nothing, if client_golang
// refuses the values, which admitted ones do not make it do.
func (f *family) histogram(values []string) *Histogram {
	o, err := f.vec.GetMetricWithLabelValues(values...)
	if err != nil {
		return nil
	}
	return newHistogram(o, f.bounds, f.interval)
}

// newCounterVec and newGaugeVec make the collector of a row of the table.
func newCounterVec(m *Metric) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func newGaugeVec(m *Metric) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func newDesc(m *Metric) *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}
