// SPDX-License-Identifier: Apache-2.0

package telemetry

import "github.com/prometheus/client_golang/prometheus"

// The names are those that the semantic conventions give an SDK's own metrics
// (https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/), as Prometheus
// writes them; what has no convention starts with fairlead_.
var (
	descExported = map[string]*prometheus.Desc{
		traces.name:  desc("otel_sdk_exporter_span_exported_total", "Spans exported; with an error_type, spans lost.", "error_type"),
		metrics.name: desc("otel_sdk_exporter_metric_data_point_exported_total", "Metric data points exported; with an error_type, lost.", "error_type"),
		logs.name:    desc("otel_sdk_exporter_log_exported_total", "Log records exported; with an error_type, records lost.", "error_type"),
	}
	descProcessed = map[string]*prometheus.Desc{
		traces.name: desc("otel_sdk_processor_span_processed_total", "Spans dropped by the queue, by error_type.", "error_type"),
		logs.name:   desc("otel_sdk_processor_log_processed_total", "Log records dropped by the queue, by error_type.", "error_type"),
	}
	descQueueSize = map[string]*prometheus.Desc{
		traces.name: desc("otel_sdk_processor_span_queue_size", "Spans waiting to be exported."),
		logs.name:   desc("otel_sdk_processor_log_queue_size", "Log records waiting to be exported."),
	}
	descQueueCapacity = map[string]*prometheus.Desc{
		traces.name: desc("otel_sdk_processor_span_queue_capacity", "Spans that may wait to be exported."),
		logs.name:   desc("otel_sdk_processor_log_queue_capacity", "Log records that may wait to be exported."),
	}
	descUp = desc("fairlead_telemetry_exporter_up", "1 unless the last export of the signal has failed.", "signal")

	descTailTraces = desc("fairlead_telemetry_tail_traces_total", "Traces decided at their end, by decision.", "decision")
	descTailEarly  = desc("fairlead_telemetry_tail_early_total", "Traces decided before their end because of a bound or their age.")
	descTailLost   = desc("fairlead_telemetry_tail_spans_dropped_total", "Spans of kept or undecided traces dropped, by reason.", "reason")
	descTailHeld   = desc("fairlead_telemetry_tail_held_spans", "Spans held for a decision.")
	descTailOpen   = desc("fairlead_telemetry_tail_undecided_traces", "Traces without a decision.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Collector returns [Telemetry.Stats] as Prometheus metrics, for the registry
// that the process serves. Every series is there from the start.
func (t *Telemetry) Collector() prometheus.Collector { return collector{t} }

type collector struct{ telemetry *Telemetry }

// Describe sends the descriptions of everything Collect may send.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, group := range []map[string]*prometheus.Desc{descExported, descProcessed, descQueueSize, descQueueCapacity} {
		for _, d := range group {
			ch <- d
		}
	}
	for _, d := range []*prometheus.Desc{descUp, descTailTraces, descTailEarly, descTailLost, descTailHeld, descTailOpen} {
		ch <- d
	}
}

// Collect sends the current numbers.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	stats := c.telemetry.Stats()
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name, s := range map[string]SignalStats{traces.name: stats.Traces, metrics.name: stats.Metrics, logs.name: stats.Logs} {
		counter(descExported[name], s.Exported, "")
		counter(descExported[name], s.Failed, "failed")
		up := 1.0
		if s.Down {
			up = 0
		}
		gauge(descUp, up, name)
		if name == metrics.name {
			continue
		}
		counter(descProcessed[name], s.QueueFull, "queue_full")
		counter(descProcessed[name], s.TooLate, "already_shutdown")
		gauge(descQueueSize[name], float64(s.Queued))
		gauge(descQueueCapacity[name], float64(s.Capacity))
	}
	if c.telemetry.tail == nil {
		return
	}
	tail := stats.Tail
	for decision, n := range map[string]uint64{
		"forced": tail.Forced, "rule": tail.Rule, "error": tail.Error, "slow": tail.Slow, "ratio": tail.Ratio,
		"head": tail.Head, "revived": tail.Revived, "dropped": tail.Dropped,
	} {
		counter(descTailTraces, n, decision)
	}
	counter(descTailEarly, tail.Early)
	counter(descTailLost, tail.SpansOverLimit, "over_limit")
	counter(descTailLost, tail.SpansLate, "late")
	gauge(descTailHeld, float64(tail.Spans))
	gauge(descTailOpen, float64(tail.Traces))
}
