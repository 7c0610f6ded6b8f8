// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// DefaultDetectTimeout bounds the detectors of [WithResourceDetectors].
const DefaultDetectTimeout = 2 * time.Second

type config struct {
	serviceName    string
	attributes     []attribute.KeyValue
	detectors      []resource.Detector
	detectTimeout  time.Duration
	exporter       string
	sampler        sdktrace.Sampler
	tail           []tail.Option
	withTail       bool
	gatherers      []prometheus.Gatherer
	spanExporters  []sdktrace.SpanExporter
	spanProcessors []sdktrace.SpanProcessor
	metricReaders  []sdkmetric.Reader
	logExporters   []sdklog.Exporter
	logLevel       slog.Leveler
	logger         *slog.Logger
}

// Option configures [New]. Whatever an environment variable sets as well is
// the environment's: options are what holds without it.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// Options makes one option of several; the later ones win.
func Options(opts ...Option) Option {
	return optionFunc(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithServiceName names the service if neither OTEL_SERVICE_NAME nor
// OTEL_RESOURCE_ATTRIBUTES does. Without any of them it is
// "unknown_service:" and the name of the executable.
func WithServiceName(name string) Option { return optionFunc(func(c *config) { c.serviceName = name }) }

// WithResourceAttributes adds attributes to the resource, below those of
// OTEL_RESOURCE_ATTRIBUTES.
func WithResourceAttributes(attrs ...attribute.KeyValue) Option {
	return optionFunc(func(c *config) { c.attributes = append(c.attributes, attrs...) })
}

// WithResourceDetectors adds detectors, of a cloud provider say. They run side
// by side in [New], for as long as [WithDetectTimeout] says; what one has not
// found by then is left out and logged.
func WithResourceDetectors(detectors ...resource.Detector) Option {
	return optionFunc(func(c *config) { c.detectors = append(c.detectors, detectors...) })
}

// WithDetectTimeout bounds the detectors; the default is [DefaultDetectTimeout].
func WithDetectTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.detectTimeout = d })
}

// WithDefaultExporter says which exporter a signal has whose OTEL_…_EXPORTER is
// not set: "otlp" (the default, as specified), "console" or "none".
func WithDefaultExporter(name string) Option {
	return optionFunc(func(c *config) { c.exporter = name })
}

// WithSampler sets the head sampler; OTEL_TRACES_SAMPLER wins. The default is
// to follow the parent and to sample every trace that starts here. See package sampler.
func WithSampler(s sdktrace.Sampler) Option {
	return optionFunc(func(c *config) {
		c.sampler = s
		if s == nil {
			c.sampler = nilSampler{}
		}
	})
}

// WithTail keeps errors and slow requests that the head sampler did not choose:
// see package tail for what it costs and what it cannot do. It is for span
// exporters, from the environment and of [WithSpanExporter] alike; without one
// it does nothing.
func WithTail(opts ...tail.Option) Option {
	return optionFunc(func(c *config) {
		c.withTail = true
		c.tail = append(c.tail, opts...)
	})
}

// WithGatherer sends the metrics of a Prometheus registry along, through the
// OpenTelemetry bridge. With OTEL_METRICS_EXPORTER=prometheus they are served
// as they are, exemplars included.
func WithGatherer(g prometheus.Gatherer) Option {
	return optionFunc(func(c *config) { c.gatherers = append(c.gatherers, g) })
}

// WithSpanExporter adds an exporter to those of the environment, behind a queue
// of its own. Shutdown shuts it down.
func WithSpanExporter(e sdktrace.SpanExporter) Option {
	return optionFunc(func(c *config) { c.spanExporters = append(c.spanExporters, e) })
}

// WithSpanProcessor adds a processor that sees every recorded span, sampled or
// not, before the tail decision. Shutdown shuts it down.
func WithSpanProcessor(p sdktrace.SpanProcessor) Option {
	return optionFunc(func(c *config) { c.spanProcessors = append(c.spanProcessors, p) })
}

// WithMetricReader adds a reader to those of the environment. The gatherers of
// [WithGatherer] are not part of it. Shutdown shuts it down.
func WithMetricReader(r sdkmetric.Reader) Option {
	return optionFunc(func(c *config) { c.metricReaders = append(c.metricReaders, r) })
}

// WithLogExporter adds an exporter to those of the environment, behind a queue
// of its own. Shutdown shuts it down.
func WithLogExporter(e sdklog.Exporter) Option {
	return optionFunc(func(c *config) { c.logExporters = append(c.logExporters, e) })
}

// WithLogLevel sets the least level that SlogHandler passes on. The default is
// slog.LevelInfo.
func WithLogLevel(l slog.Leveler) Option { return optionFunc(func(c *config) { c.logLevel = l }) }

// WithLogger sets where telemetry reports its own state: a collector that is
// away and back again, queues that overflow. OTEL_LOG_LEVEL says how much. The
// default is what slog.Default is at that moment.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) {
		c.logger = l
		if l == nil {
			c.logger = slog.New(slog.DiscardHandler)
		}
	})
}

// nilSampler marks a WithSampler(nil), which is refused.
type nilSampler struct{ sdktrace.Sampler }

func newConfig(opts []Option) (*config, error) {
	c := &config{detectTimeout: DefaultDetectTimeout, exporter: exporterOTLP, logLevel: slog.LevelInfo}
	Options(opts...).apply(c)
	var errs []error
	bad := func(option string, value any, rule string) {
		errs = append(errs, fmt.Errorf("telemetry: %s is %v, must %s", option, value, rule))
	}
	for _, kv := range c.attributes {
		if !kv.Valid() {
			bad("WithResourceAttributes", fmt.Sprintf("%q", kv.Key), "have a key and a value")
		}
	}
	if c.detectTimeout <= 0 {
		bad("WithDetectTimeout", c.detectTimeout, "be more than 0")
	}
	if rule := oneOf(exporterOTLP, exporterConsole, exporterNone)(c.exporter); rule != "" {
		errs = append(errs, fmt.Errorf("telemetry: WithDefaultExporter is %q, %s", c.exporter, rule))
	}
	if _, isNil := c.sampler.(nilSampler); isNil {
		bad("WithSampler", nil, "be a sampler")
	}
	if c.logLevel == nil {
		bad("WithLogLevel", nil, "be a level")
	}
	for _, list := range []struct {
		option string
		hasNil bool
	}{
		{"WithResourceDetectors", slices.Contains(c.detectors, nil)},
		{"WithGatherer", slices.Contains(c.gatherers, nil)},
		{"WithSpanExporter", slices.Contains(c.spanExporters, nil)},
		{"WithSpanProcessor", slices.Contains(c.spanProcessors, nil)},
		{"WithMetricReader", slices.Contains(c.metricReaders, nil)},
		{"WithLogExporter", slices.Contains(c.logExporters, nil)},
	} {
		if list.hasNil {
			bad(list.option, nil, "not be nil")
		}
	}
	if c.withTail {
		// Checked here, while there is nothing to clean up yet.
		_, err := tail.New(spanFanOut(nil), c.tail...)
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

// fallbacks are the options as values of variables, for those not in the environment.
func (c *config) fallbacks() map[string]string {
	out := make(map[string]string)
	if c.exporter != exporterOTLP {
		for _, s := range signals {
			out[s.exporterVariable()] = c.exporter
		}
	}
	if c.sampler != nil {
		out[envSampler] = c.sampler.Description()
	}
	if c.serviceName != "" {
		out[envService] = c.serviceName
	}
	return out
}
