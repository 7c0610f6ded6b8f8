// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"encoding/hex"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// newBridge makes a producer of what the gatherers gather.
func newBridge(gatherers []prometheus.Gatherer) sdkmetric.Producer {
	var opts []bridge.Option
	for _, g := range gatherers {
		opts = append(opts, bridge.WithGatherer(g))
	}
	return exemplarIDs{bridge.NewMetricProducer(opts...)}
}

// Sizes of the ids in OTLP, in bytes.
const (
	traceIDBytes = 16
	spanIDBytes  = 8
)

// exemplarIDs corrects the ids of the bridge's exemplars. The bridge (0.72) puts
// the hex digits into the fields where OTLP has bytes, and a collector refuses
// the whole request for an id of the wrong length. What is no id becomes an
// attribute of the exemplar, as the Prometheus compatibility specification asks.
type exemplarIDs struct{ sdkmetric.Producer }

func (p exemplarIDs) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	scopes, err := p.Producer.Produce(ctx)
	for _, scope := range scopes {
		for _, m := range scope.Metrics {
			correctExemplars(m.Data)
		}
	}
	return scopes, err
}

func correctExemplars(data metricdata.Aggregation) {
	switch d := data.(type) {
	case metricdata.Sum[float64]:
		for _, p := range d.DataPoints {
			correct(p.Exemplars)
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			correct(p.Exemplars)
		}
	case metricdata.ExponentialHistogram[float64]:
		for _, p := range d.DataPoints {
			correct(p.Exemplars)
		}
	}
}

func correct(exemplars []metricdata.Exemplar[float64]) {
	for i := range exemplars {
		e := &exemplars[i]
		e.TraceID = idBytes(e, "trace_id", e.TraceID, traceIDBytes)
		e.SpanID = idBytes(e, "span_id", e.SpanID, spanIDBytes)
	}
}

func idBytes(e *metricdata.Exemplar[float64], label string, id []byte, size int) []byte {
	if len(id) == 0 || len(id) == size {
		return id
	}
	decoded := make([]byte, hex.DecodedLen(len(id)))
	if _, err := hex.Decode(decoded, id); err == nil && len(decoded) == size {
		return decoded
	}
	e.FilteredAttributes = append(e.FilteredAttributes, attribute.String(label, string(id)))
	return nil
}
