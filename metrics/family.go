// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// overflowChildren bounds the children that a family past its cap still makes: one
// per status, with and without an error type, with and without a route or server.
const overflowChildren = 400

// family is one duration metric and its children. It is the slow path: what asks
// keeps the child it got.
type family struct {
	vec      *prometheus.HistogramVec
	bounds   []float64
	interval time.Duration
	labels   []string
	status   string // the label that stays when the family overflows; may be ""
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
		labels:   m.Labels,
		status:   status,
		guard:    newGuard(m.Name, 0),
	}
	f.children.limit = c.seriesCap
	f.overflow.limit = overflowChildren
	return f
}

// child returns the histogram of these label values, which are admitted already.
// Past the cap the labels are collapsed.
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
		values[i] = f.collapse(f.labels[i], v)
	}
	h, _ = f.overflow.loadOrStore(strings.Join(values, "\x00"), func() *Histogram { return f.histogram(values) })
	return h
}

// collapse returns the value of a label past the family's cap: Other, but for the
// status, for what is the same everywhere, and for what is absent.
func (f *family) collapse(label, value string) string {
	switch label {
	case f.status, "rpc_system_name", "rpc_system":
		return value
	case "server_port":
		return ""
	}
	if value == "" {
		return ""
	}
	return Other
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
