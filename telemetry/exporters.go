// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// transport is how one signal's OTLP exporter reaches the collector. Headers,
// compression, time-out and certificates the exporters read themselves.
type transport struct {
	protocol string
	endpoint string
}

// None of the exporters connects when it is made: New does not wait for a
// collector.

func newSpanExporter(ctx context.Context, name string, t transport) (sdktrace.SpanExporter, error) {
	switch {
	case name == exporterConsole:
		return named(stdouttrace.New())
	case t.protocol == protocolGRPC:
		return named(otlptracegrpc.New(ctx, endpointOption(t, otlptracegrpc.WithEndpointURL)...))
	}
	return named(otlptracehttp.New(ctx, endpointOption(t, otlptracehttp.WithEndpointURL)...))
}

func newMetricExporter(ctx context.Context, name string, t transport) (sdkmetric.Exporter, error) {
	switch {
	case name == exporterConsole:
		return stdoutmetric.New()
	case t.protocol == protocolGRPC:
		return named(otlpmetricgrpc.New(ctx, endpointOption(t, otlpmetricgrpc.WithEndpointURL)...))
	}
	return named(otlpmetrichttp.New(ctx, endpointOption(t, otlpmetrichttp.WithEndpointURL)...))
}

func newLogExporter(ctx context.Context, name string, t transport) (sdklog.Exporter, error) {
	switch {
	case name == exporterConsole:
		return named(stdoutlog.New())
	case t.protocol == protocolGRPC:
		return named(otlploggrpc.New(ctx, endpointOption(t, otlploggrpc.WithEndpointURL)...))
	}
	return named(otlploghttp.New(ctx, endpointOption(t, otlploghttp.WithEndpointURL)...))
}

// named keeps a typed nil out of the interface when there is an error.
func named[T any](exporter T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return exporter, nil
}

func endpointOption[O any](t transport, withURL func(string) O) []O {
	if t.endpoint == "" {
		return nil
	}
	return []O{withURL(t.endpoint)}
}

// exporterError says which exporter could not be made.
func exporterError(s signal, name string, err error) error {
	return fmt.Errorf("telemetry: %s exporter %s: %w", s.name, name, err)
}
