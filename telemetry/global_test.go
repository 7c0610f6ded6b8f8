// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/fairlead-go/fairlead/telemetry"
)

func TestNewChangesNothingGlobalAndSetGlobalEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracers, meters, loggers := otel.GetTracerProvider(), otel.GetMeterProvider(), otel.GetLoggerProvider()
		fields := otel.GetTextMapPropagator().Fields()
		var said journal
		tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(said.logger()))
		if otel.GetTracerProvider() != tracers || otel.GetMeterProvider() != meters || otel.GetLoggerProvider() != loggers ||
			len(otel.GetTextMapPropagator().Fields()) != len(fields) {
			t.Error("New changed something global")
		}
		tel.SetGlobal()
		if otel.GetTracerProvider() != tel.TracerProvider() || otel.GetMeterProvider() != tel.MeterProvider() ||
			otel.GetLoggerProvider() != tel.LoggerProvider() || len(otel.GetTextMapPropagator().Fields()) != 3 {
			t.Error("SetGlobal left something out")
		}
		// Errors of the SDK are said at most once a minute.
		for range 5 {
			otel.Handle(errors.New("boom"))
		}
		otel.Handle(nil)
		time.Sleep(time.Minute)
		otel.Handle(errors.New("again"))
		got := said.with("an OpenTelemetry component has a problem")
		if len(got) != 2 || !strings.Contains(got[0], "error=boom suppressed=0") || !strings.Contains(got[1], "error=again suppressed=4") {
			t.Errorf("said %q, want the first, and a minute later the next with 4 suppressed", got)
		}
	})
}
