// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/health"
)

// registryScheme is the scheme of targets that are names in the registry.
const registryScheme = "registry"

// protocolKey is the metadata of an instance that says what is spoken there. One
// that lacks it, because somebody else registered it, is taken to speak whatever
// it is asked for in.
const protocolKey = "protocol"

// speaks reports whether an instance can be called over a protocol.
func speaks(protocol string) func(*discovery.Instance) bool {
	return func(in *discovery.Instance) bool {
		p := in.Metadata[protocolKey]
		return p == "" || p == protocol
	}
}

func (s *Service) setUpDiscovery() error {
	d := s.config.discovery
	if d.catalog == nil {
		return nil
	}
	var err error
	if s.watcher, err = discovery.NewWatcher(d.catalog, d.namespace, append([]discovery.WatcherOption{s.observeDiscovery()}, d.watch...)...); err != nil {
		return err
	}
	resolver, err := grpcresolver.New(registryScheme, s.watcher, grpcresolver.WithFilter(speaks("grpc")))
	if err != nil {
		return err
	}
	monitor := grpcbalancer.NewMonitor(s.balancing)
	s.resolver = monitor.Resolver(resolver)
	s.metrics.CollectBalancers(monitor.All)
	s.metrics.CollectBalancers(s.httpBalancers)
	s.metrics.CollectWatcher(s.watcher.Status)
	if err := s.health.Add("registry", s.checkRegistry, health.Optional); err != nil {
		return err
	}
	if !d.patrolled {
		return nil
	}
	inspector := d.catalog.(discovery.Inspector)
	if s.patrol, err = discovery.NewPatrol(inspector, append([]discovery.PatrolOption{s.observeDiscovery()}, d.patrol...)...); err != nil {
		return err
	}
	s.metrics.CollectPatrol(registryScheme, s.patrol.Status)
	return s.health.Add("registry-servers", s.patrol.Check, health.Optional)
}

// serviceConfig is gRPC's for services in the registry.
const serviceConfig = `{"loadBalancingConfig": [{"` + grpcbalancer.Name + `": {}}]}`

// checkRegistry says what callers, of this service or of others, may come to feel.
func (s *Service) checkRegistry(ctx context.Context) error {
	errs := []error{s.watcher.Check(ctx)}
	s.mu.Lock()
	registrars := slices.Clone(s.registrars)
	s.mu.Unlock()
	for _, r := range registrars {
		errs = append(errs, r.Check(ctx))
	}
	return errors.Join(errs...)
}

// observeDiscovery tells the service's metrics and log of what discovery does.
func (s *Service) observeDiscovery() discovery.EveryOption {
	return discovery.WithObserver(discovery.Observers(s.metrics.Discovery(), s.discoveryLog.Discovery()))
}

// balancing is the same for calls to a service over gRPC and HTTP.
func (s *Service) balancing(service string) balancer.Option {
	return balancer.Options(
		balancer.WithZone(s.config.discovery.instance.Zone),
		balancer.Options(s.config.discovery.balance...),
		balancer.WithObserver(balancer.Observers(s.metrics.Balancer(service), s.discoveryLog.Balancer(service))))
}

// httpBalancers returns those of the service's HTTP clients.
func (s *Service) httpBalancers() iter.Seq2[*balancer.Balancer, string] {
	s.mu.Lock()
	clients := slices.Clone(s.resolvers)
	s.mu.Unlock()
	return func(yield func(*balancer.Balancer, string) bool) {
		for _, c := range clients {
			if !yield(c.Balancer(), c.name) {
				return
			}
		}
	}
}

// named is an HTTP client's resolver, and the service it resolves.
type named struct {
	*httpresolver.Resolver
	name string
}

// Watcher returns what keeps track of other services, or nil without a registry.
func (s *Service) Watcher() *discovery.Watcher { return s.watcher }

// Settings returns the effective settings of discovery and where each came from: the
// service's own, then those of its registry. Without a registry there are none. Print
// them at the start of a program, or on a page for those who run it; no secret is among
// them.
func (s *Service) Settings() []discovery.Setting {
	settings := slices.Clone(s.config.discovery.settings)
	if r, ok := s.config.discovery.catalog.(interface{ Settings() []discovery.Setting }); ok {
		settings = append(settings, r.Settings()...)
	}
	return settings
}

// instance returns what is registered of a server.
func (s *Service) instance(srv *server) (discovery.Instance, error) {
	d := s.config.discovery
	address, err := d.advertised(srv.listener.Addr())
	if err != nil {
		return discovery.Instance{}, err
	}
	in := d.instance
	in.Namespace, in.Service, in.Address, in.ID = d.namespace, s.config.name, address, ""
	if in.Version == "" {
		in.Version = s.config.version
	}
	in.Metadata = maps.Clone(in.Metadata)
	if in.Metadata == nil {
		in.Metadata = make(map[string]string, 1)
	}
	in.Metadata[protocolKey] = srv.name
	return in.Normalized()
}

// setUpRegistration finds out what is to be registered, and whether it can be.
func (s *Service) setUpRegistration() error {
	registry, ok := s.config.discovery.catalog.(discovery.Registry)
	if !ok || s.config.discovery.unregistered {
		return nil
	}
	var errs []error
	for _, srv := range s.servers {
		if srv.name == "admin" {
			continue
		}
		in, err := s.instance(srv)
		if err == nil {
			err = discovery.CheckRegistration(registry, s.config.discovery.namespace, in, s.registrarOptions(srv)...)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("registering %s: %w", srv.name, err))
		}
		srv.instance = &in
	}
	return errors.Join(errs...)
}

// registrarOptions returns those of a server's registration. What health says is
// damped by the checks.
func (s *Service) registrarOptions(srv *server) []discovery.RegistrarOption {
	opts := []discovery.RegistrarOption{
		discovery.WithTTL(srv.ttl()), discovery.WithHealth(s.health.Check), discovery.WithDamping(1, 1), s.observeDiscovery(),
	}
	for _, l := range srv.limits {
		opts = append(opts, discovery.WithServerTimeout(l.name, l.d))
	}
	return append(opts, s.config.discovery.register...)
}

// register begins to register the service's servers, which serve.
func (s *Service) register() error {
	for _, srv := range s.servers {
		if srv.instance == nil {
			continue
		}
		r, err := discovery.NewRegistrar(s.config.discovery.catalog.(discovery.Registry), s.config.discovery.namespace, *srv.instance, s.registrarOptions(srv)...)
		if err != nil { // which New has checked
			return fmt.Errorf("fairlead: registering %s: %w", srv.name, err)
		}
		s.metrics.CollectRegistrar(r.Status)
		unsubscribe := s.health.Subscribe(r.Refresh)
		r.Refresh() // of what has changed before that
		s.mu.Lock()
		s.registrars = append(s.registrars, registration{r, unsubscribe})
		s.mu.Unlock()
	}
	return nil
}

// registration is one server in the registry, and who tells it of a change of the
// service's health at once.
type registration struct {
	*discovery.Registrar
	unsubscribe func()
}

// Registered waits until Run serves, the service is ready and, with a registry, callers
// can find it. The error says what was wrong when ctx ended, or that the service has.
func (s *Service) Registered(ctx context.Context) error {
	select {
	case <-s.begun:
	case <-ctx.Done():
		return fmt.Errorf("fairlead: Registered: not running: %w", context.Cause(ctx))
	}
	s.mu.Lock()
	registrars, ended := slices.Clone(s.registrars), s.state == stateEnding
	s.mu.Unlock()
	if ended {
		return errors.New("fairlead: Registered: the service has ended")
	}
	if err := s.health.Ready(ctx); err != nil {
		return fmt.Errorf("fairlead: Registered: %w", err)
	}
	for _, r := range registrars {
		if err := r.Ready(ctx); err != nil {
			return fmt.Errorf("fairlead: Registered: %w", err)
		}
	}
	return nil
}

// limit is how long a server gives a request in some respect.
type limit struct {
	name string
	d    time.Duration
}

// maxDefaultTTL is the longest time to live that nobody asked for: an instance that
// was killed is listed for as long.
const maxDefaultTTL = 2 * time.Minute

// ttl is how long the registry lists a server that has gone without a word: no
// shorter than what a request can take there, unless that is too long.
func (srv *server) ttl() time.Duration {
	ttl := discovery.DefaultTTL
	for _, l := range srv.limits {
		ttl = max(ttl, (l.d*4/3 + time.Second).Truncate(time.Second))
	}
	return min(ttl, maxDefaultTTL)
}

// deregister takes the service out of the registry. One that is away drops it by
// itself when the time to live is over: that keeps nobody from ending.
func (s *Service) deregister(registrars []registration) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, r := range registrars {
		wg.Go(func() {
			// It has a little longer than ctx to say why it failed.
			if err := within(registryTimeout+time.Second, "deregistering", func() error { return r.Deregister(ctx) }); err != nil {
				s.logger.WarnContext(ctx, "not deregistered", slog.String("instance", r.Instance().Address), slog.Any("error", err))
			}
		})
	}
	wg.Wait()
}
