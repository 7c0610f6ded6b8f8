// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
)

// SetGlobal makes the providers, the propagator and an error handler the global
// ones of package otel, for libraries that know no others. It belongs into main,
// once. Nothing else of this package changes anything global.
func (t *Telemetry) SetGlobal() {
	otel.SetTextMapPropagator(t.propagator)
	otel.SetTracerProvider(t.tracerProvider)
	otel.SetMeterProvider(t.meterProvider)
	otel.SetLoggerProvider(t.loggerProvider)
	otel.SetErrorHandler(&errorHandler{report: t.report})
}

// errorPause is how long the SDK's errors stay unsaid after one was said.
const errorPause = time.Minute

// errorHandler logs what goes wrong inside the SDK, at most once a minute.
type errorHandler struct {
	report *reporter

	mu         sync.Mutex
	last       time.Time
	suppressed int
}

var _ otel.ErrorHandler = (*errorHandler)(nil)

// Handle implements otel.ErrorHandler.
func (h *errorHandler) Handle(err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	now := time.Now()
	if !h.last.IsZero() && now.Sub(h.last) < errorPause {
		h.suppressed++
		h.mu.Unlock()
		return
	}
	suppressed := h.suppressed
	h.last, h.suppressed = now, 0
	h.mu.Unlock()
	h.report.log(slog.LevelError, "telemetry: an OpenTelemetry component has a problem",
		slog.String("error", err.Error()), slog.Int("suppressed", suppressed))
}
