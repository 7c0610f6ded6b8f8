// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// served plays a call to the order service, up to its observation.
func (w *world) served() *call {
	return w.begin(context.Background(), "order", rpcServer, "shop.Order/Put").end("OK").line()
}

// exemplarOf returns the labels of an exemplar that leads to c.
func exemplarOf(c *call) prometheus.Labels {
	ids := c.ids()
	return prometheus.Labels{"trace_id": ids[1].(string), "span_id": ids[3].(string)}
}

// counter adds a registry whose only counter has one exemplar; client_golang
// itself would refuse some of those played here.
func (w *world) counter(labels map[string]string) {
	c := &dto.Counter{Value: new(1.0), Exemplar: &dto.Exemplar{Value: new(1.0)}}
	for name, value := range labels {
		c.Exemplar.Label = append(c.Exemplar.Label, &dto.LabelPair{Name: new(name), Value: new(value)})
	}
	w.family(&dto.MetricFamily{Name: new("panics_total"), Metric: []*dto.Metric{{Counter: c}}})
}

// family adds a registry of one family, of a service without calls.
func (w *world) family(f *dto.MetricFamily) {
	w.rec.AddMetrics("batch", prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{f}, nil
	}))
}

// waits adds a histogram with one exemplar in its bucket of (1, 2].
func (w *world) waits(value float64) {
	id := w.served().count().span.SpanContext().TraceID().String()
	ex := &dto.Exemplar{Value: new(value), Label: []*dto.LabelPair{{Name: new("trace_id"), Value: new(id)}}}
	w.family(&dto.MetricFamily{Name: new("waits"), Metric: []*dto.Metric{{Histogram: &dto.Histogram{Bucket: []*dto.Bucket{
		{UpperBound: new(1.0)}, {UpperBound: new(2.0), Exemplar: ex},
	}}}}})
}

var exemplarBreaches = []breach{
	{
		name: "129 runes", rule: telemetrytest.ExemplarSize,
		play: func(w *world) {
			labels := exemplarOf(w.served().count())
			used := len("trace_id") + 32 + len("span_id") + 16 + len("url")
			labels["url"] = strings.Repeat("é", 129-used)
			w.counter(labels)
		},
		want: []string{"panics_total", "129 runes", "may have 128"},
	},
	{
		name: "no trace id", rule: telemetrytest.ExemplarLeads,
		play: func(w *world) { w.counter(map[string]string{"user": "7"}) },
		want: []string{`user="7"`, "panics_total{} of batch", "no trace_id"},
	},
	{
		name: "unknown trace", rule: telemetrytest.ExemplarLeads,
		play: func(w *world) { w.counter(map[string]string{"trace_id": strangeTrace}) },
		want: []string{strangeTrace, "trace that is not in the run"},
	},
	{
		name: "unknown span", rule: telemetrytest.ExemplarLeads,
		play: func(w *world) {
			labels := exemplarOf(w.served().count())
			labels["span_id"] = strangeSpan
			w.counter(labels)
		},
		want: []string{strangeSpan, "not in its trace"},
	},
	{
		name: "unknown span on a native histogram", rule: telemetrytest.ExemplarLeads,
		play: func(w *world) {
			ex := &dto.Exemplar{Value: new(1.0), Label: []*dto.LabelPair{{Name: new("trace_id"), Value: new(strangeTrace)}}}
			w.family(&dto.MetricFamily{Name: new("waits"), Metric: []*dto.Metric{
				{Histogram: &dto.Histogram{Exemplars: []*dto.Exemplar{ex}}},
			}})
		},
		want: []string{"waits", strangeTrace},
	},
	{
		name: "unsampled span", rule: telemetrytest.ExemplarLeads,
		play: func(w *world) {
			_, span := w.rec.TracerProvider("batch", sdktrace.WithSampler(recordOnly{})).Tracer("").Start(context.Background(), "job")
			span.End()
			w.counter(map[string]string{"trace_id": span.SpanContext().TraceID().String()})
		},
		want: []string{"not sampled"},
	},
	{
		name: "not the span's duration", rule: telemetrytest.ExemplarValue,
		play: func(w *world) {
			c := w.served()
			c.countWith(c.took.Seconds()+0.000002, exemplarOf(c))
		},
		want: []string{"1.002ms", "of 1ms", `"shop.Order/Put" of order`, "rpc_server_call_duration_seconds"},
	},
	{
		name: "not the span's duration, without a span id", rule: telemetrytest.ExemplarValue,
		play: func(w *world) {
			c := w.served()
			labels := exemplarOf(c)
			delete(labels, "span_id")
			c.countWith(0.5, labels)
		},
		want: []string{"500ms", "of 1ms"},
	},
	{
		name: "another series", rule: telemetrytest.ExemplarValue,
		play: func(w *world) {
			c := w.served().count()
			other := w.begin(context.Background(), "order", rpcServer, "shop.Order/List").end("OK").line()
			other.countWith(c.took.Seconds(), exemplarOf(c))
		},
		want: []string{"series of shop.Order/List OK", "of shop.Order/Put OK"},
	},
	{
		name: "another kind of call", rule: telemetrytest.ExemplarValue,
		play: func(w *world) {
			out := w.begin(context.Background(), "gateway", rpcClient, "shop.Order/Put").end("OK").line().count()
			c := w.served()
			c.countWith(c.took.Seconds(), exemplarOf(out))
		},
		want: []string{"no rpc server call"},
	},
	{
		name: "below its bucket", rule: telemetrytest.ExemplarValue,
		play: func(w *world) { w.waits(1.0) },
		want: []string{"waits", "value 1 in the bucket of (1, 2]"},
	},
	{
		name: "above its bucket", rule: telemetrytest.ExemplarValue,
		play: func(w *world) { w.waits(2.5) },
		want: []string{"waits", "value 2.5 in the bucket of (1, 2]"},
	},
}

var exemplarAllowances = []allowance{
	{
		name: "128 runes",
		play: func(w *world) {
			labels := exemplarOf(w.served().count())
			used := len("trace_id") + 32 + len("span_id") + 16 + len("url")
			labels["url"] = strings.Repeat("é", 128-used)
			w.counter(labels)
		},
	},
	{
		name: "at the bound of its bucket",
		play: func(w *world) { w.waits(2.0) },
	},
	{
		name: "no span id",
		play: func(w *world) {
			c := w.served()
			labels := exemplarOf(c)
			delete(labels, "span_id")
			c.countWith(c.took.Seconds(), labels)
		},
	},
	{
		name: "duration rounded",
		play: func(w *world) {
			c := w.served()
			c.countWith(c.took.Seconds()+0.0000009, exemplarOf(c))
		},
	},
	{
		name: "trace from outside",
		play: func(w *world) { w.counter(map[string]string{"trace_id": strangeTrace}) },
		opts: []telemetrytest.Option{telemetrytest.External(strangeTrace)},
	},
}

// recordOnly makes spans that are recorded and not sampled.
type recordOnly struct{}

func (recordOnly) ShouldSample(sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return sdktrace.SamplingResult{Decision: sdktrace.RecordOnly}
}

func (recordOnly) Description() string { return "record only" }
