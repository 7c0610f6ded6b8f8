// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// metricExporter is watched by a guard. Its failures are said once, by the
// guard: the reader would hand each to the global error handler. While a flush
// or the shutdown waits for the answer, it gets it.
type metricExporter struct {
	sdkmetric.Exporter

	guard   *guard
	waiting *atomic.Int32
}

func (m metricExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	n := countPoints(data)
	err := m.Exporter.Export(ctx, data)
	m.guard.result(n, err)
	if m.waiting.Load() > 0 {
		return err
	}
	return nil
}

// newPushReader exports the instruments of the SDK and the gatherers' metrics
// at the interval of OTEL_METRIC_EXPORT_INTERVAL, which it reads itself.
func newPushReader(exporter metricExporter, gatherers []prometheus.Gatherer) sdkmetric.Reader {
	var opts []sdkmetric.PeriodicReaderOption
	if len(gatherers) > 0 {
		opts = append(opts, sdkmetric.WithProducer(newBridge(gatherers)))
	}
	return sdkmetric.NewPeriodicReader(exporter, opts...)
}

func countPoints(data *metricdata.ResourceMetrics) (n int) {
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			n += points(m.Data)
		}
	}
	return n
}

func points(data metricdata.Aggregation) int {
	switch d := data.(type) {
	case metricdata.Gauge[int64]:
		return len(d.DataPoints)
	case metricdata.Gauge[float64]:
		return len(d.DataPoints)
	case metricdata.Sum[int64]:
		return len(d.DataPoints)
	case metricdata.Sum[float64]:
		return len(d.DataPoints)
	case metricdata.Histogram[int64]:
		return len(d.DataPoints)
	case metricdata.Histogram[float64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[int64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[float64]:
		return len(d.DataPoints)
	case metricdata.Summary:
		return len(d.DataPoints)
	}
	return 0
}
