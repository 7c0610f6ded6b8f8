// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/discoverylog"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/health/grpchealth"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// telemetryTimeout bounds starting the SDK, and flushing it at the end.
const telemetryTimeout = 5 * time.Second

// Service is one service of yours in this process: its servers, its clients,
// and what they share. Make it with [New], register handlers, then [Service.Run]
// it once. A Service that is not run must be closed with [Service.Close].
type Service struct {
	config       *config
	telemetry    Telemetry // nil: none
	registry     *prometheus.Registry
	logger       *slog.Logger
	recorder     *record.Recorder
	metrics      *metrics.Set
	policies     *policies.Set
	discoveryLog *discoverylog.Log
	health       *health.Set
	watcher      *discovery.Watcher // nil: no registry
	resolver     resolver.Builder   // gRPC's, of names in the registry
	patrol       *discovery.Patrol  // nil: none
	budget       ctxutil.Budget     // of calls made

	grpcServer *grpc.Server
	grpcHealth *grpchealth.Server
	mux        *http.ServeMux
	servers    []*server

	begun chan struct{} // closed when Run serves, or never will

	mu         sync.Mutex
	state      state
	registrars []registration // while it runs
	clients    []io.Closer
	resolvers  []named
	idle       []*http.Client
	released   bool // nobody closes another one
}

// New sets up a service called name: its metrics, logs and records, and its
// listeners, so that its addresses are known and a port that is taken is an
// error now. It serves when it is run.
//
// An error names the option, its value and the rule it breaks.
func New(name string, opts ...Option) (*Service, error) {
	c, err := newConfig(name, opts)
	if err != nil {
		return nil, fmt.Errorf("fairlead: New: %w", err)
	}
	s := &Service{config: c, mux: http.NewServeMux(), begun: make(chan struct{})}
	for _, step := range []func() error{
		s.setUpRegistry, s.setUpTelemetry, s.setUpRecorder, s.setUpHealth, s.setUpPolicies, s.setUpDiscovery, s.setUpGRPC, s.setUpHTTP, s.setUpAdmin, s.setUpRegistration,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("fairlead: New: %w", errors.Join(err, s.Close()))
		}
	}
	return s, nil
}

func (s *Service) setUpRegistry() error {
	s.registry = s.config.registry
	if s.registry != nil {
		return nil
	}
	s.registry = prometheus.NewRegistry()
	return metrics.RegisterRuntime(s.registry)
}

func (s *Service) setUpTelemetry() error {
	if s.config.telemetry == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), telemetryTimeout)
	defer cancel()
	t, err := s.config.telemetry(ctx, s.config.name, s.registry)
	if err != nil {
		return fmt.Errorf("WithTelemetry: %w", err)
	}
	s.telemetry = t
	// What telemetry itself loses is for the metrics to tell.
	if c, ok := t.(interface{ Collector() prometheus.Collector }); ok {
		return s.registry.Register(c.Collector())
	}
	return nil
}

func (s *Service) setUpRecorder() error {
	s.logger = slog.New(s.logHandler())
	var err error
	if s.metrics, err = metrics.New(s.registry, s.config.metricOptions...); err != nil {
		return err
	}
	redactor, err := logging.NewRedactor()
	if err != nil {
		return err
	}
	opts := []record.Option{
		record.WithMetrics(s.metrics),
		record.WithLogger(s.logger),
		record.WithRedact(redactor.Attr),
	}
	if s.telemetry != nil {
		opts = append(opts,
			record.WithTracerProvider(s.telemetry.TracerProvider()),
			record.WithPropagator(s.telemetry.Propagator()))
	}
	s.recorder, err = record.New(append(opts, s.config.recordOptions...)...)
	return err
}

func (s *Service) setUpHealth() error {
	s.discoveryLog = discoverylog.New(s.logger)
	set, err := health.NewSet(health.WithObserver(health.Observers(s.metrics.Health(), s.discoveryLog.Health())))
	if err != nil {
		return err
	}
	s.health = set
	s.metrics.CollectHealth(set)
	var errs []error
	for _, add := range s.config.checks {
		errs = append(errs, add(s.health))
	}
	return errors.Join(errs...)
}

// logHandler returns the handler of the service's logger. Each destination has
// a handler of its own, so that a request's level reaches both.
func (s *Service) logHandler() slog.Handler {
	service := logging.WithService(s.config.name, s.config.version, "")
	var h slog.Handler
	if own := s.config.logger; own != nil {
		h = logging.NewHandler(own, service)
	} else {
		all := &slog.HandlerOptions{Level: slog.LevelDebug}
		h = logging.NewHandler(slog.NewJSONHandler(os.Stderr, all), service, logging.WithLevel(slog.LevelInfo))
	}
	if s.telemetry == nil {
		return h
	}
	export := s.telemetry.SlogHandler()
	if export == nil {
		return h
	}
	return slog.NewMultiHandler(h, export)
}

// serverBudget is the budget of requests served: the caller's deadline, capped.
func (s *Service) serverBudget() (ctxutil.Budget, error) {
	return ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(s.config.serverTimeout))
}

func (s *Service) setUpGRPC() error {
	if s.config.grpcAddr == "" {
		return nil
	}
	budget, err := s.serverBudget()
	if err != nil {
		return err
	}
	srv := &server{name: "grpc", drainer: drain.New(), limits: []limit{{"time limit of requests (WithServerTimeout)", s.config.serverTimeout}}}
	chain := []interceptors.ServerInterceptor{
		interceptors.Record(s.recorder), interceptors.Recovery(), interceptors.Deadline(budget), interceptors.Drain(srv.drainer),
	}
	chain = append(chain, s.admitGRPC()...)
	endpoint := interceptors.WithTLS(s.config.tls)
	if s.config.plaintext {
		endpoint = interceptors.WithPlaintext()
	}
	s.grpcServer, err = interceptors.NewServer(endpoint,
		interceptors.WithServerInterceptors(append(chain, s.config.server...)...))
	if err != nil {
		return err
	}
	if s.grpcHealth, err = grpchealth.NewServer(s.health); err != nil {
		return err
	}
	grpc_health_v1.RegisterHealthServer(s.grpcServer, s.grpcHealth)
	srv.serve, srv.stop = s.grpcServer.Serve, s.stopGRPC(srv)
	return s.listen(srv, s.config.grpcAddr)
}

func (s *Service) setUpHTTP() error {
	s.handleHealth(s.mux)
	if s.config.httpAddr == "" {
		return nil
	}
	budget, err := s.serverBudget()
	if err != nil {
		return err
	}
	srv := &server{name: "http", drainer: drain.New()}
	chain := []httpmw.Middleware{
		httpmw.Record(s.recorder), httpmw.Recovery(), httpmw.Deadline(budget), httpmw.Drain(srv.drainer),
	}
	chain = append(chain, s.admitHTTP()...)
	h := httpmw.Chain(httpmw.Route(s.mux), append(chain, s.config.middleware...)...)
	endpoint := httpmw.WithTLS(s.config.tls)
	if s.config.plaintext {
		endpoint = httpmw.WithPlaintext()
	}
	hs, err := httpmw.NewServer(s.config.httpAddr, h, append([]httpmw.ServerOption{endpoint,
		httpmw.WithErrorLog(s.logger),
		httpmw.WithBaseContext(srv.drainer.Context()),
		httpmw.WithWriteTimeout(s.config.serverTimeout + writeMargin)}, s.config.httpServer...)...)
	if err != nil {
		return err
	}
	srv.limits = []limit{{"read header timeout", hs.ReadHeaderTimeout}, {"read timeout", hs.ReadTimeout}, {"write timeout", hs.WriteTimeout}, {"idle timeout", hs.IdleTimeout}}
	srv.serve = func(l net.Listener) error { return httpmw.Serve(hs, l) }
	srv.stop = s.stopHTTP(srv, hs)
	return s.listen(srv, s.config.httpAddr)
}

// writeMargin is what a handler that uses all of its time has left to answer.
const writeMargin = 2 * time.Second

func (s *Service) setUpAdmin() error {
	if s.config.adminAddr == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(s.registry, metrics.WithScrapeLogger(s.logger)))
	s.handleHealth(mux)
	hs, err := httpmw.NewServer(s.config.adminAddr, mux, httpmw.WithPlaintext(), httpmw.WithErrorLog(s.logger))
	if err != nil {
		return err
	}
	serve := func(l net.Listener) error { return httpmw.Serve(hs, l) }
	return s.listen(&server{name: "admin", serve: serve, stop: stopAdmin(hs)}, s.config.adminAddr)
}

func (s *Service) handleHealth(mux *http.ServeMux) {
	mux.Handle("GET /livez", s.health.Livez())
	mux.Handle("GET /readyz", s.health.Readyz())
	mux.Handle("GET /healthz", s.health.Healthz())
}

// GRPC returns where to register gRPC services. It panics if the service has
// no gRPC server; see [WithGRPC].
func (s *Service) GRPC() grpc.ServiceRegistrar {
	if s.grpcServer == nil {
		panic("fairlead: GRPC: the service has no gRPC server: give New WithGRPC")
	}
	return s.grpcServer
}

// HTTP returns where to register HTTP handlers, with the patterns of
// [http.ServeMux]. /livez, /readyz and /healthz are there already.
func (s *Service) HTTP() *http.ServeMux { return s.mux }

// Logger returns the service's logger; give it to [slog.SetDefault] if the
// service is all there is in the process.
func (s *Service) Logger() *slog.Logger { return s.logger }

// MetricsRegistry returns the registry of the service's metrics.
func (s *Service) MetricsRegistry() *prometheus.Registry { return s.registry }

// Recorder returns what makes the service's records, for servers and clients
// that the service does not make itself.
func (s *Service) Recorder() *record.Recorder { return s.recorder }

// TracerProvider returns what makes the service's spans, for work that no
// record begins, such as a queue's.
func (s *Service) TracerProvider() trace.TracerProvider {
	if s.telemetry != nil {
		return s.telemetry.TracerProvider()
	}
	return otel.GetTracerProvider()
}

// Health returns the service's health checks.
func (s *Service) Health() *health.Set { return s.health }

// Addr returns the address that is listened on for "grpc", "http" or "admin",
// or "" if that is not served.
func (s *Service) Addr(protocol string) string {
	for _, srv := range s.servers {
		if srv.name == protocol {
			return srv.listener.Addr().String()
		}
	}
	return ""
}
