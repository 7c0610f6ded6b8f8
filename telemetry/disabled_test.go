// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"

	"github.com/fairlead-go/fairlead/telemetry"
)

func TestDisabledRecordsNothingAndPassesIdentitiesOn(t *testing.T) {
	setenv(t, "OTEL_SDK_DISABLED=True", "OTEL_PROPAGATORS=b3", "OTEL_TRACES_EXPORTER=nonsense")
	tel := start(t, telemetry.WithServiceName("order"))
	if tel.Enabled() {
		t.Error("Enabled() = true")
	}
	in := propagation.MapCarrier{"b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}
	ctx, span := tel.TracerProvider().Tracer("test").Start(tel.Propagator().Extract(t.Context(), in), "span")
	if span.IsRecording() {
		t.Error("a span is recording")
	}
	out := propagation.MapCarrier{}
	tel.Propagator().Inject(ctx, out)
	if out["b3"] != in["b3"] {
		t.Errorf("passed on %q, want %q", out["b3"], in["b3"])
	}
	span.End()
	if counter, err := tel.MeterProvider().Meter("test").Int64Counter("n"); err != nil || counter.Enabled(ctx) {
		t.Errorf("a counter is enabled, or %v", err)
	}
	if tel.SlogHandler().Enabled(ctx, slog.LevelError) {
		t.Error("the slog handler takes records")
	}
	if err := tel.ForceFlush(ctx); err != nil {
		t.Errorf("ForceFlush: %v", err)
	}
	if err := tel.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := tel.Stats(); got != (telemetry.Stats{}) {
		t.Errorf("Stats() = %+v, want zero", got)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(tel.Collector())
	if _, err := registry.Gather(); err != nil {
		t.Errorf("Gather: %v", err)
	}
	if got := tel.Settings().Get("OTEL_SDK_DISABLED"); got != "True" {
		t.Errorf("setting = %q", got)
	}
}

func TestDisabledStillChecksThePropagators(t *testing.T) {
	setenv(t, "OTEL_SDK_DISABLED=true", "OTEL_PROPAGATORS=x")
	if _, err := telemetry.FromEnv(t.Context()); err == nil || !strings.Contains(err.Error(), "OTEL_PROPAGATORS") {
		t.Errorf("error %v, want one that names OTEL_PROPAGATORS", err)
	}
}
