// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// scrapeReader is the reader of OTEL_METRICS_EXPORTER=prometheus: a server whose
// /metrics has the SDK's instruments and the gatherers' metrics. Its lifetime is
// the reader's.
type scrapeReader struct {
	sdkmetric.Reader

	server *http.Server
	addr   string
}

func newScrapeReader(e *environ, gatherers []prometheus.Gatherer, report *reporter) (*scrapeReader, error) {
	registry := prometheus.NewRegistry()
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics exporter prometheus: %w", err)
	}
	addr := net.JoinHostPort(e.value[envPrometheusIP], e.value[envPrometheus])
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("telemetry: metrics exporter prometheus: %s and %s are %s: %w", envPrometheusIP, envPrometheus, addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(
		append(prometheus.Gatherers{registry}, gatherers...),
		promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 5, Timeout: 10 * time.Second}))
	r := &scrapeReader{
		Reader: exporter,
		addr:   listener.Addr().String(),
		server: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
		},
	}
	go func() {
		if err := r.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			report.error("telemetry: the metrics endpoint has stopped", err)
		}
	}()
	return r, nil
}

// Shutdown lets running scrapes finish, as long as ctx allows.
func (r *scrapeReader) Shutdown(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if err != nil {
		_ = r.server.Close()
	}
	return errors.Join(err, r.Reader.Shutdown(ctx))
}
