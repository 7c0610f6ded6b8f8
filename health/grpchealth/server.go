// SPDX-License-Identifier: Apache-2.0

package grpchealth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/health" // its import is what makes clients look at healthCheckConfig
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/health"
)

// maxListed is how many services List returns; health.proto leaves the number to the
// server, and this is gRPC's own.
const maxListed = 100

// Server answers gRPC's health service, version 1, from a [health.Set]. Make it with
// [NewServer]. It is safe for concurrent use.
type Server struct {
	grpc_health_v1.UnimplementedHealthServer
	set         *health.Set
	unsubscribe func()

	mu       sync.Mutex
	services map[string]reporter // by full name; "" is the process
	changed  chan struct{}       // closed, and replaced, when there may be news
	closed   bool
}

// reporter is a [health.Set] or a [health.Group].
type reporter interface{ Status() health.Status }

var _ grpc_health_v1.HealthServer = (*Server)(nil)

// Option changes a [Server] under construction.
type Option interface{ apply(*Server) error }

type optionFunc func(*Server) error

func (o optionFunc) apply(s *Server) error { return o(s) }

// WithService adds a service; see [Server.Add].
func WithService(name string, checks ...string) Option {
	return optionFunc(func(s *Server) error { return s.Add(name, checks...) })
}

// NewServer returns a server for the checks of a set. It knows the process as a whole,
// by the name "", and the services that it is told of. Who makes it calls
// [Server.Close]. It fails on options that make no sense; the error names each.
func NewServer(set *health.Set, opts ...Option) (*Server, error) {
	if set == nil {
		return nil, errors.New("grpchealth: NewServer: nil set")
	}
	s := &Server{set: set, services: map[string]reporter{"": set}, changed: make(chan struct{})}
	var errs []error
	for _, o := range opts {
		errs = append(errs, o.apply(s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.unsubscribe = set.Subscribe(s.news)
	return s, nil
}

// Add adds a service by its full name, such as "shop.Orders". It serves while the process
// takes requests and those of its checks pass that are named, [health.Optional] ones
// included; without names, while the process is ready. The checks must be in the set, and
// the service must be new. Those who watch it are told.
func (s *Server) Add(service string, checks ...string) error {
	var of reporter = s.set
	if len(checks) > 0 {
		group, err := s.set.Group(checks...)
		if err != nil {
			return fmt.Errorf("grpchealth: service %q: %w", service, err)
		}
		of = group
	}
	s.mu.Lock()
	_, known := s.services[service]
	if !known {
		s.services[service] = of
	}
	s.mu.Unlock()
	if known {
		return fmt.Errorf("grpchealth: service %q: is known already", service)
	}
	s.news()
	return nil
}

// AddRegistered adds each service that is registered with a server and is not known yet,
// as one that serves while the process is ready: call it when all are.
func (s *Server) AddRegistered(server *grpc.Server) {
	for name := range server.GetServiceInfo() {
		_ = s.Add(name) // it is known already, and that is well
	}
}

// Services returns the names of the services that it knows, sorted.
func (s *Server) Services() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.services))
	for name := range s.services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Close ends all watches, after it told those who watch that nothing serves any more: it
// is for the moment before [grpc.Server.GracefulStop], which would wait for them for
// ever. Until then, a set that is stopped ([health.Set.Stop]) is told as NOT_SERVING to
// watches that go on, because clients whose watch ends ask again at once. Closing again
// does nothing.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.unsubscribe()
	s.news()
}

// news wakes all watches.
func (s *Server) news() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// look returns what there is to say of a service, and a channel that is closed when that
// may have changed.
func (s *Server) look(service string) (st grpc_health_v1.HealthCheckResponse_ServingStatus, known, closed bool, changed <-chan struct{}) {
	s.mu.Lock()
	of, known := s.services[service]
	closed, changed = s.closed, s.changed
	s.mu.Unlock()
	switch {
	case !known:
		return grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN, false, closed, changed
	case closed || of.Status() != health.StatusReady:
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING, true, closed, changed
	}
	return grpc_health_v1.HealthCheckResponse_SERVING, true, false, changed
}

// Check implements the health service: NOT_FOUND for a service that is not known.
func (s *Server) Check(_ context.Context, req *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	st, known, _, _ := s.look(req.GetService())
	if !known {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: st}, nil
}

// List implements the health service: RESOURCE_EXHAUSTED for more than 100 services.
func (s *Server) List(context.Context, *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	names := s.Services()
	if len(names) > maxListed {
		return nil, status.Errorf(codes.ResourceExhausted, "more than %d services", maxListed)
	}
	all := make(map[string]*grpc_health_v1.HealthCheckResponse, len(names))
	for _, name := range names {
		st, _, _, _ := s.look(name)
		all[name] = &grpc_health_v1.HealthCheckResponse{Status: st}
	}
	return &grpc_health_v1.HealthListResponse{Statuses: all}, nil
}
