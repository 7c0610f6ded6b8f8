// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// Telemetry is a running OpenTelemetry SDK: providers, exporters and the queues
// between them. Make one with [New]; the zero value is not usable. It is safe
// for concurrent use. Its goroutines run until [Telemetry.Shutdown].
type Telemetry struct {
	tracerProvider trace.TracerProvider
	meterProvider  metric.MeterProvider
	loggerProvider log.LoggerProvider
	propagator     propagation.TextMapPropagator
	slogHandler    slog.Handler
	settings       Settings
	resource       *resource.Resource
	report         *reporter
	enabled        bool

	spanQueues     []spanQueue
	spanProcessors []sdktrace.SpanProcessor
	tail           *tail.Processor
	metricReaders  []sdkmetric.Reader
	metricGuards   []*guard
	logQueues      []logQueue

	stages   []stage      // in the order of signals
	waiting  atomic.Int32 // flushes and shutdowns that want to know of failures
	stopOnce sync.Once
	stopErr  error
}

// FromEnv is [New] without options.
func FromEnv(ctx context.Context) (*Telemetry, error) { return New(ctx) }

// New starts telemetry as the OTEL_* variables say, and the options where they
// say nothing. It reads them once. A value it does not know is an error that
// names the variable; all such errors are joined. It neither connects to a
// collector nor waits for one. ctx bounds New only.
//
// New changes nothing global: hand the providers to those who need them, or
// call [Telemetry.SetGlobal].
func New(ctx context.Context, opts ...Option) (*Telemetry, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	e := readEnviron(c.fallbacks())
	t := &Telemetry{report: newReporter(c.logger, e.value[envLogLevel])}
	if e.isTrue(envDisabled) {
		return t.disable(e)
	}
	head := headSampler(e, c.sampler)
	e.checkOTLP()
	if err := e.err(); err != nil {
		return nil, err
	}
	if t.propagator, err = newPropagator(e.value[envPropagators]); err != nil {
		return nil, err
	}
	var problems []error
	t.resource, problems = newResource(ctx, c)
	for _, p := range problems {
		t.report.log(slog.LevelWarn, "telemetry: the resource is incomplete", slog.String("error", p.Error()))
	}
	if err := t.start(ctx, e, c, head); err != nil {
		return nil, err
	}
	reportService(e, c, t.resource)
	t.settings = e.settings()
	t.enabled = true
	return t, nil
}

// disable is New under OTEL_SDK_DISABLED: nothing is recorded, identities are
// still passed on, and only the variables that this takes have to be right.
func (t *Telemetry) disable(e *environ) (*Telemetry, error) {
	err := e.err(envDisabled, envPropagators)
	if err == nil {
		t.propagator, err = newPropagator(e.value[envPropagators])
	}
	if err != nil {
		return nil, err
	}
	t.tracerProvider = tracenoop.NewTracerProvider()
	t.meterProvider = metricnoop.NewMeterProvider()
	t.loggerProvider = lognoop.NewLoggerProvider()
	t.slogHandler = slog.DiscardHandler
	t.resource = resource.Empty()
	t.settings = e.settings()
	return t, nil
}

// start makes exporters, queues and providers. What the environment asks for
// comes first, because only that can fail, and then what was started is stopped.
func (t *Telemetry) start(ctx context.Context, e *environ, c *config, head sdktrace.Sampler) error {
	err := errors.Join(t.addTraces(ctx, e), t.addMetrics(ctx, e, c), t.addLogs(ctx, e))
	if err != nil {
		return errors.Join(err, t.abort())
	}
	for _, exporter := range c.spanExporters {
		t.spanQueues = append(t.spanQueues, newSpanQueue(e, t.newGuard(traces, exporter, ""), exporter))
	}
	for _, exporter := range c.logExporters {
		t.logQueues = append(t.logQueues, newLogQueue(e, t.newGuard(logs, exporter, ""), exporter))
	}
	t.metricReaders = append(t.metricReaders, c.metricReaders...)
	t.spanProcessors = c.spanProcessors
	t.startTraces(c, head)
	t.startMetrics()
	t.startLogs()
	t.slogHandler = newSlogHandler(t.loggerProvider, c.logLevel)
	return nil
}

// abortTimeout is for exporters that have not seen any data yet.
const abortTimeout = time.Second

// abort stops what was started before start has failed.
func (t *Telemetry) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	var errs []error
	for _, q := range t.spanQueues {
		errs = append(errs, q.Shutdown(ctx))
	}
	for _, r := range t.metricReaders {
		errs = append(errs, r.Shutdown(ctx))
	}
	for _, q := range t.logQueues {
		errs = append(errs, q.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// TracerProvider returns the provider of tracers; a no-op one if disabled.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.tracerProvider }

// MeterProvider returns the provider of meters; a no-op one if disabled.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meterProvider }

// LoggerProvider returns the provider of OTLP loggers; a no-op one if disabled.
// Applications log through slog: see [Telemetry.SlogHandler].
func (t *Telemetry) LoggerProvider() log.LoggerProvider { return t.loggerProvider }

// Propagator returns what OTEL_PROPAGATORS asks for, also if disabled. Of
// several formats in one request, traceparent wins, then the order of the list.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return t.propagator }

// Resource returns who this process says it is; empty if disabled.
func (t *Telemetry) Resource() *resource.Resource { return t.resource }

// Enabled is false under OTEL_SDK_DISABLED.
func (t *Telemetry) Enabled() bool { return t.enabled }

// Settings returns the settings in effect and where each came from.
func (t *Telemetry) Settings() Settings { return append(Settings(nil), t.settings...) }
