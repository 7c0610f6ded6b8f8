// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
)

// measurements is a meter provider that keeps what otelgrpc measures, as
// "name{attributes}".
type measurements struct {
	metricnoop.MeterProvider
	mu  sync.Mutex
	all []string
}

func (m *measurements) Meter(string, ...metric.MeterOption) metric.Meter { return meter{m: m} }

type meter struct {
	metricnoop.Meter
	m *measurements
}

func (m meter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return histogram{m: m.m, name: name}, nil
}

type histogram struct {
	metricnoop.Float64Histogram
	m    *measurements
	name string
}

func (histogram) Enabled(context.Context) bool { return true }

func (h histogram) Record(_ context.Context, _ float64, opts ...metric.RecordOption) {
	set := metric.NewRecordConfig(opts).Attributes()
	attrs := map[string]string{}
	for _, kv := range set.ToSlice() {
		attrs[string(kv.Key)] = kv.Value.Emit()
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.m.all = append(h.m.all, h.name+format(attrs))
}

func (m *measurements) of(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, one := range m.all {
		if strings.HasPrefix(one, name+"{") {
			out = append(out, one)
		}
	}
	return strings.Join(out, " ")
}

func (m *measurements) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

func format(attrs map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		out = append(out, k+"="+attrs[k])
	}
	return "{" + strings.Join(out, ",") + "}"
}
