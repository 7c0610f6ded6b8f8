// SPDX-License-Identifier: Apache-2.0

package auto

import (
	"context"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/telemetry"
)

// Both are written by init only.
var (
	started *telemetry.Telemetry
	failure error
)

func init() {
	written := logging.NewHandler(slog.NewJSONHandler(os.Stderr, nil))
	// Set first: New reports to slog.Default.
	slog.SetDefault(slog.New(written))
	started, failure = telemetry.New(context.Background(), telemetry.WithGatherer(prometheus.DefaultGatherer))
	if failure != nil {
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
		slog.Error("telemetry/auto: telemetry is off because of its settings", slog.String("error", failure.Error()))
		return
	}
	started.SetGlobal()
	slog.SetDefault(slog.New(slog.NewMultiHandler(written, started.SlogHandler())))
}

// Telemetry returns what was started, for its settings and numbers, or nil if
// it could not be started.
func Telemetry() *telemetry.Telemetry { return started }

// Err says why telemetry could not be started, or nil.
func Err() error { return failure }

// Shutdown exports what is waiting and stops telemetry, within the time that ctx
// allows. It returns what went wrong with that, and nil if nothing was started.
// It may be called more than once.
func Shutdown(ctx context.Context) error {
	if started == nil {
		return nil
	}
	return started.Shutdown(ctx)
}
