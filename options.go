// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// Defaults of a [Service].
const (
	// DefaultServerTimeout caps how long a request may take, whatever its
	// caller allows.
	DefaultServerTimeout = 20 * time.Second
	// DefaultDrainTimeout bounds how long a service that ends waits for the
	// requests under way.
	DefaultDrainTimeout = 20 * time.Second
	// DefaultDrainWait is how long a service that ends goes on taking requests,
	// once it is no longer in the registry, until its callers have noticed.
	DefaultDrainWait = 2 * time.Second
	// DefaultAdminAddr is where /metrics and the health endpoints are served
	// besides: on loopback, on a port that the system picks.
	DefaultAdminAddr = "127.0.0.1:0"
)

// Telemetry is what a [Service] needs of an OpenTelemetry SDK; a
// *telemetry.Telemetry is one.
type Telemetry interface {
	// TracerProvider makes the spans.
	TracerProvider() trace.TracerProvider
	// Propagator reads and writes the headers of identities.
	Propagator() propagation.TextMapPropagator
	// SlogHandler exports log records, redacted; nil if they are not exported.
	SlogHandler() slog.Handler
	// Shutdown flushes what is buffered, until ctx ends.
	Shutdown(ctx context.Context) error
}

type config struct {
	name, version string
	grpcAddr      string
	httpAddr      string
	adminAddr     string
	tls           *tls.Config
	clientTLS     *tls.Config
	plaintext     bool
	logger        slog.Handler
	registry      *prometheus.Registry
	telemetry     func(context.Context, string, prometheus.Gatherer) (Telemetry, error)
	checks        []func(*health.Set) error
	recordOptions []record.Option
	metricOptions []metrics.Option
	server        []interceptors.ServerInterceptor
	client        []interceptors.ClientInterceptor
	middleware    []httpmw.Middleware
	httpServer    []httpmw.ServerOption
	policies      []policies.Option
	discovery     discoveryConfig
	serverTimeout time.Duration
	drainTimeout  time.Duration
	drainWait     time.Duration
	noSignals     bool
	drains        []func(context.Context) error
	errs          []error
}

// Option configures a [Service].
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

func newConfig(name string, opts []Option) (*config, error) {
	c := &config{
		name:          name,
		adminAddr:     DefaultAdminAddr,
		serverTimeout: DefaultServerTimeout,
		drainTimeout:  DefaultDrainTimeout,
		drainWait:     -1,
	}
	if _, ok := ctxutil.SafeID(name); !ok {
		c.errs = append(c.errs, fmt.Errorf("name %q: want 1 to %d letters, digits and ._-", name, ctxutil.MaxIDBytes))
	}
	for _, o := range opts {
		if o == nil {
			c.errs = append(c.errs, errors.New("nil option"))
			continue
		}
		o.apply(c)
	}
	if (c.grpcAddr != "" || c.httpAddr != "") && c.tls == nil && !c.plaintext {
		c.errs = append(c.errs, errors.New("a server needs WithTLS or, asked for by name, WithPlaintext"))
	}
	if c.tls != nil && c.plaintext {
		c.errs = append(c.errs, errors.New("WithTLS and WithPlaintext exclude each other"))
	}
	c.checkDiscovery()
	return c, errors.Join(c.errs...)
}

// WithVersion sets the service's version, as spans and log lines show it.
func WithVersion(v string) Option { return optionFunc(func(c *config) { c.version = v }) }

// WithGRPC serves gRPC on addr, a TCP address such as ":8081". The default,
// and "", is no gRPC server.
func WithGRPC(addr string) Option { return optionFunc(func(c *config) { c.grpcAddr = addr }) }

// WithHTTP serves HTTP on addr, a TCP address such as ":8080". The default,
// and "", is no HTTP server.
func WithHTTP(addr string) Option { return optionFunc(func(c *config) { c.httpAddr = addr }) }

// WithAdmin serves /metrics, /livez, /readyz and /healthz on addr, without
// TLS; "" serves them nowhere but, for the health endpoints, with the service's
// own HTTP. The default is [DefaultAdminAddr], which only this machine reaches.
func WithAdmin(addr string) Option { return optionFunc(func(c *config) { c.adminAddr = addr }) }

// WithTLS sets the TLS configurations of the service's servers and of its
// clients. A client configuration of nil means the system's roots.
func WithTLS(server, client *tls.Config) Option {
	return optionFunc(func(c *config) {
		if server == nil {
			c.errs = append(c.errs, errors.New("WithTLS: nil server configuration"))
			return
		}
		c.tls, c.clientTLS = server, client
	})
}

// WithPlaintext does without TLS, on servers and clients: for meshes that
// encrypt below, and for tests.
func WithPlaintext() Option { return optionFunc(func(c *config) { c.plaintext = true }) }

// WithLogHandler sets where log records go. The default, and nil, is JSON on
// standard error, from level info. Records reach it correlated, redacted and
// safe to print.
func WithLogHandler(h slog.Handler) Option { return optionFunc(func(c *config) { c.logger = h }) }

// WithMetricsRegistry sets the registry of the service's metrics. The default, and
// nil, is one of its own, with the Go runtime and the process in it.
func WithMetricsRegistry(r *prometheus.Registry) Option {
	return optionFunc(func(c *config) { c.registry = r })
}

// WithTelemetry starts the OpenTelemetry SDK with the service, usually by
// telemetry.ForService, and flushes it when the service ends. start gets the
// service's name and its metrics. Without it the service uses the global
// tracer provider, which makes no spans unless somebody installed an SDK; logs
// correlate all the same.
func WithTelemetry[T Telemetry](start func(ctx context.Context, service string, metrics prometheus.Gatherer) (T, error)) Option {
	return optionFunc(func(c *config) {
		c.telemetry = func(ctx context.Context, service string, g prometheus.Gatherer) (Telemetry, error) {
			return start(ctx, service, g)
		}
	})
}

// WithCheck adds a health check; see [health.Set.Add].
func WithCheck(name string, check health.Check, opts ...health.Option) Option {
	return optionFunc(func(c *config) {
		c.checks = append(c.checks, func(s *health.Set) error { return s.Add(name, check, opts...) })
	})
}

// WithRecord adds options of the call record: ingress trust, egress guard,
// forwarded headers, quiet methods.
func WithRecord(opts ...record.Option) Option {
	return optionFunc(func(c *config) { c.recordOptions = append(c.recordOptions, opts...) })
}

// WithMetrics adds options of the metrics: buckets, native histograms, names.
func WithMetrics(opts ...metrics.Option) Option {
	return optionFunc(func(c *config) { c.metricOptions = append(c.metricOptions, opts...) })
}

// WithServerInterceptors adds gRPC server interceptors, inside of Fairlead's
// own: authentication, validation.
func WithServerInterceptors(is ...interceptors.ServerInterceptor) Option {
	return optionFunc(func(c *config) { c.server = append(c.server, is...) })
}

// WithClientInterceptors adds gRPC client interceptors, inside of Fairlead's own.
func WithClientInterceptors(is ...interceptors.ClientInterceptor) Option {
	return optionFunc(func(c *config) { c.client = append(c.client, is...) })
}

// WithMiddleware adds HTTP middleware, inside of Fairlead's own.
func WithMiddleware(mws ...httpmw.Middleware) Option {
	return optionFunc(func(c *config) { c.middleware = append(c.middleware, mws...) })
}

// WithHTTPServer adds options of the HTTP server: its time limits, the sizes it
// takes.
func WithHTTPServer(opts ...httpmw.ServerOption) Option {
	return optionFunc(func(c *config) { c.httpServer = append(c.httpServer, opts...) })
}

// WithServerTimeout caps how long a request may take; the default is
// [DefaultServerTimeout].
func WithServerTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) {
		c.serverTimeout = d
		if d <= 0 {
			c.errs = append(c.errs, fmt.Errorf("WithServerTimeout: %v is not positive", d))
		}
	})
}

// WithDrainTimeout bounds how long a service that ends waits for the requests
// under way; the default is [DefaultDrainTimeout].
func WithDrainTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) {
		c.drainTimeout = d
		if d <= 0 {
			c.errs = append(c.errs, fmt.Errorf("WithDrainTimeout: %v is not positive", d))
		}
	})
}

// WithDrain adds work to finish when the service ends: after its servers have
// answered what was under way, and before connections are closed and telemetry
// is flushed. For pools and queue workers, say. ctx ends with the drain timeout.
// Several run in the order in which they were added.
func WithDrain(finish func(ctx context.Context) error) Option {
	return optionFunc(func(c *config) {
		if finish == nil {
			c.errs = append(c.errs, errors.New("WithDrain: nil function"))
			return
		}
		c.drains = append(c.drains, finish)
	})
}

// WithoutSignals leaves SIGINT and SIGTERM alone: the service ends with the
// context given to Run, and by nothing else. For processes of several services,
// which end in an order of their own.
func WithoutSignals() Option { return optionFunc(func(c *config) { c.noSignals = true }) }
