// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// newGuard watches exporter, or the exporter of that name.
func (t *Telemetry) newGuard(s signal, exporter any, endpoint string) *guard {
	name, ok := exporter.(string)
	if !ok {
		name = fmt.Sprintf("%T", exporter)
	}
	return &guard{signal: s.name, exporter: name, endpoint: endpoint, log: t.report.log}
}

// each calls add for every exporter that the signal's variable lists.
func each(e *environ, s signal, add func(name string, to transport) error) error {
	for _, name := range e.list(s.exporterVariable()) {
		var to transport
		if name == exporterOTLP {
			to = transport{protocol: e.protocol(s), endpoint: e.endpoint(s)}
			e.reportEndpoint(s, to.endpoint)
		}
		if name == exporterNone {
			continue
		}
		if err := add(name, to); err != nil {
			return exporterError(s, name, err)
		}
	}
	return nil
}

func (t *Telemetry) addTraces(ctx context.Context, e *environ) error {
	return each(e, traces, func(name string, to transport) error {
		exporter, err := newSpanExporter(ctx, name, to)
		if err == nil {
			t.spanQueues = append(t.spanQueues, newSpanQueue(e, t.newGuard(traces, name, to.endpoint), exporter))
		}
		return err
	})
}

func (t *Telemetry) addMetrics(ctx context.Context, e *environ, c *config) error {
	return each(e, metrics, func(name string, to transport) error {
		if name == exporterPrometheus {
			r, err := newScrapeReader(e, c.gatherers, t.report)
			if err == nil {
				t.metricReaders = append(t.metricReaders, r)
			}
			return err
		}
		exporter, err := newMetricExporter(ctx, name, to)
		if err != nil {
			return err
		}
		g := t.newGuard(metrics, name, to.endpoint)
		t.metricGuards = append(t.metricGuards, g)
		watched := metricExporter{Exporter: exporter, guard: g, waiting: &t.waiting}
		t.metricReaders = append(t.metricReaders, newPushReader(watched, c.gatherers))
		return nil
	})
}

func (t *Telemetry) addLogs(ctx context.Context, e *environ) error {
	return each(e, logs, func(name string, to transport) error {
		exporter, err := newLogExporter(ctx, name, to)
		if err == nil {
			t.logQueues = append(t.logQueues, newLogQueue(e, t.newGuard(logs, name, to.endpoint), exporter))
		}
		return err
	})
}

// startTraces builds: user's processors; then the tail, if any; then the queues.
func (t *Telemetry) startTraces(c *config, head sdktrace.Sampler) {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(t.resource)}
	for _, p := range t.spanProcessors {
		opts = append(opts, sdktrace.WithSpanProcessor(p))
	}
	queues := spanFanOut(t.spanQueues)
	switch {
	case len(queues) == 0:
	case c.withTail:
		head = tail.Head(head)
		t.tail, _ = tail.New(queues, c.tail...) // newConfig has checked the options
		opts = append(opts, sdktrace.WithSpanProcessor(t.tail))
	default:
		opts = append(opts, sdktrace.WithSpanProcessor(queues))
	}
	provider := sdktrace.NewTracerProvider(append(opts, sdktrace.WithSampler(head))...)
	t.tracerProvider = provider
	t.stages = append(t.stages, stage{traces, provider.ForceFlush, provider.Shutdown})
}

func (t *Telemetry) startMetrics() {
	opts := []sdkmetric.Option{sdkmetric.WithResource(t.resource)}
	for _, r := range t.metricReaders {
		opts = append(opts, sdkmetric.WithReader(r))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.meterProvider = provider
	t.stages = append(t.stages, stage{metrics, provider.ForceFlush, provider.Shutdown})
}

func (t *Telemetry) startLogs() {
	provider := sdklog.NewLoggerProvider(
		sdklog.WithResource(t.resource), sdklog.WithProcessor(logFanOut(t.logQueues)))
	t.loggerProvider = provider
	t.stages = append(t.stages, stage{logs, provider.ForceFlush, provider.Shutdown})
}
