// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/drain"
)

// server is one listener and what serves on it.
type server struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
	// stop ends serving: gracefully until ctx ends, then at once.
	stop func(ctx context.Context) error
	// drainer counts what is in flight; nil for admin.
	drainer *drain.Drainer
	// limits are what the registration has to outlive.
	limits []limit
	// instance is what is registered of it, if anything is.
	instance *discovery.Instance
}

// listen opens the listener of a server that is run later.
func (s *Service) listen(srv *server, addr string) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w", srv.name, err)
	}
	srv.listener = l
	s.servers = append(s.servers, srv)
	return nil
}

// Run serves until ctx ends, the process gets SIGINT or SIGTERM (but see
// [WithoutSignals]), or a server fails. It begins in order: health checks run,
// servers serve, the service is registered (see [WithRegistry]), as healthy as it
// is ready. And it ends in order: the service says it is not ready, leaves the
// registry, and goes on serving until callers have noticed ([WithDrainWait]). Then
// servers take no new requests and finish those under way, for at most the drain
// timeout; in the last fifth of it, or the last second, contexts that are left end
// with [ctxutil.ErrShutdown], and then connections do. Telemetry is flushed. It
// returns nil if it was asked to end and did so cleanly. A second signal ends the
// process as usual.
//
// It is called once: after it, or after [Service.Close], it is an error.
func (s *Service) Run(ctx context.Context) error {
	if !s.advance(stateStarting, stateSetUp) {
		return errors.New("fairlead: Run: the service was run or closed before")
	}
	release := func() {}
	if !s.config.noSignals {
		ctx, release = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	}
	defer release()
	failed := make(chan error, len(s.servers))
	s.health.Start()
	if s.grpcHealth != nil {
		s.grpcHealth.AddRegistered(s.grpcServer)
	}
	var serving sync.WaitGroup
	for _, srv := range s.servers {
		s.logger.InfoContext(ctx, "serving", slog.String("protocol", srv.name), slog.String("addr", srv.listener.Addr().String()))
		serving.Go(func() {
			if err := srv.serve(srv.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("fairlead: %s: %w", srv.name, err)
			}
		})
	}
	err := s.register()
	if err == nil {
		s.advance(stateServing, stateStarting)
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	release()
	err = errors.Join(err, s.stop())
	serving.Wait()
	return err
}

// state is where a service is in its life.
type state uint8

const (
	stateSetUp state = iota
	stateStarting
	stateServing
	stateEnding // or closed
)

// advance changes the state to one that follows any of others, and reports whether it
// did. Those who wait for the service to serve are told when it does, or never will.
func (s *Service) advance(to state, from ...state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(from, s.state) {
		return false
	}
	if s.state < stateServing && to >= stateServing {
		close(s.begun)
	}
	s.state = to
	return true
}

// Close releases what a service holds that is not run: listeners, connections, and
// telemetry, which is flushed for at most five seconds. Run does it at its end, and
// while it runs Close does nothing but say so: end its context. Closing again does
// nothing.
func (s *Service) Close() error {
	if s.advance(stateEnding, stateSetUp) {
		var errs []error
		for _, srv := range slices.Backward(s.servers) {
			errs = append(errs, srv.listener.Close())
		}
		return errors.Join(append(errs, s.release())...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateEnding {
		return errors.New("fairlead: Close: the service runs: end the context of Run")
	}
	return nil
}

// errReleased is what those get who want a client of a service that has ended.
var errReleased = errors.New("fairlead: the service has ended")

// keep keeps a client until the service ends, and reports whether it has not yet.
func (s *Service) keep(add func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.released {
		add()
	}
	return !s.released
}

// release closes all that is not a server.
func (s *Service) release() error {
	s.mu.Lock()
	clients, resolvers, idle := s.clients, s.resolvers, s.idle
	s.clients, s.resolvers, s.idle, s.released = nil, nil, nil, true
	s.mu.Unlock()
	if s.grpcHealth != nil {
		s.grpcHealth.Close()
	}
	if s.health != nil {
		s.health.Close()
	}
	var errs []error
	for _, c := range clients {
		if err := c.Close(); status.Code(err) != codes.Canceled { // closed already, by who asked for it
			errs = append(errs, err)
		}
	}
	for _, c := range idle {
		c.CloseIdleConnections()
	}
	for _, r := range resolvers {
		r.Close()
	}
	if s.patrol != nil {
		errs = append(errs, within(registryTimeout, "closing the patrol", s.patrol.Close))
	}
	if s.watcher != nil {
		errs = append(errs, within(registryTimeout, "closing the watcher", s.watcher.Close))
	}
	if tel := s.telemetry; tel != nil {
		ctx, cancel := context.WithTimeout(context.Background(), telemetryTimeout)
		defer cancel()
		// A collector that is away is no reason for a service to fail.
		if err := tel.Shutdown(ctx); err != nil && s.logger != nil {
			s.logger.Warn("telemetry not flushed", slog.Any("error", err))
		}
	}
	return errors.Join(errs...)
}
