// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// ForService returns a function that starts telemetry for a service whose name
// and metrics it is given, as fairlead.WithTelemetry takes it. The options come
// after those two, and the environment before all of them.
func ForService(opts ...Option) func(ctx context.Context, service string, metrics prometheus.Gatherer) (*Telemetry, error) {
	return func(ctx context.Context, service string, metrics prometheus.Gatherer) (*Telemetry, error) {
		return New(ctx, append([]Option{WithServiceName(service), WithGatherer(metrics)}, opts...)...)
	}
}
