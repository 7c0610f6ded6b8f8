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
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/httpmw"
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
// timeout; in the last part of it, contexts that are left end with
// [ctxutil.ErrShutdown]. Connections are closed, telemetry is flushed. It returns
// nil if it was asked to end and did so cleanly. A second signal ends the process
// as usual.
//
// It is called once: after it, or after [Service.Close], it is an error.
func (s *Service) Run(ctx context.Context) error {
	if !s.advance(stateSetUp, stateStarting) {
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
		s.advance(stateStarting, stateServing)
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

// advance changes the state from one to another, and reports whether it did. Those
// who wait for the service to serve are told when it does, or never will.
func (s *Service) advance(from, to state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != from {
		return false
	}
	s.state = to
	if from < stateServing && to >= stateServing {
		close(s.begun)
	}
	return true
}

// registryTimeout bounds the wait for a registry that is away.
const registryTimeout = 3 * time.Second

// within is f, for as long as limit: even what does not heed its context, as it should,
// keeps nobody from ending.
func within(limit time.Duration, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		return fmt.Errorf("fairlead: %s: not over after %v", what, limit)
	}
}

// stop ends the service in order.
func (s *Service) stop() error {
	s.logger.Info("stopping")
	_ = s.advance(stateStarting, stateEnding) || s.advance(stateServing, stateEnding)
	s.mu.Lock()
	registrars := s.registrars
	s.registrars = nil
	s.mu.Unlock()
	for _, r := range registrars {
		r.unsubscribe() // that it leaves is not that it fails
	}
	s.health.Stop() // probers and those who watch are told
	for _, srv := range s.servers {
		if srv.drainer != nil {
			srv.drainer.Leave()
		}
	}
	s.leaveRegistry(registrars)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	// The admin server comes last: while the others drain, it says so.
	var public, admin []*server
	for _, srv := range s.servers {
		if srv.name == "admin" {
			admin = append(admin, srv)
		} else {
			public = append(public, srv)
		}
	}
	errs := []error{stopAll(ctx, public)}
	for _, finish := range s.config.drains {
		if err := finish(ctx); err != nil {
			errs = append(errs, fmt.Errorf("fairlead: draining: %w", err))
		}
	}
	err := errors.Join(append(errs, stopAll(ctx, admin))...)
	return errors.Join(err, s.release())
}

// leaveRegistry deregisters and goes on serving until callers have noticed.
func (s *Service) leaveRegistry(registrars []registration) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	s.deregister(ctx, registrars)
	if s.config.drainWait > 0 {
		time.Sleep(s.config.drainWait)
	}
}

// stopAll stops servers side by side.
func stopAll(ctx context.Context, servers []*server) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, srv := range servers {
		wg.Go(func() {
			if err := srv.stop(ctx); err != nil {
				errs[i] = fmt.Errorf("fairlead: stopping %s: %w", srv.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// drainAll waits until a server has stopped and its requests have ended, or until ctx
// is about to: then contexts end, and later connections do, which is what calls that
// have no such context and those that are stuck in a connection notice. It says what
// became of them.
func (s *Service) drainAll(ctx context.Context, srv *server, stopped <-chan struct{}, cut func()) error {
	grace := min(time.Second, s.config.drainTimeout/5)
	limit := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		limit, cancel = context.WithDeadline(ctx, deadline.Add(-grace))
		defer cancel()
	}
	r := srv.drainer.Drain(limit, stopped, grace/2)
	cut()
	if r.Stuck > 0 {
		r.Stuck = srv.drainer.Drain(limit, nil, grace/2).Stuck
	}
	s.metrics.Drained(srv.name, r.Drained, r.Killed, r.Stuck)
	level, err := slog.LevelInfo, error(nil)
	if r.Killed > 0 {
		level = slog.LevelWarn
		err = fmt.Errorf("%d requests were cut at the end of the drain timeout", r.Killed)
	}
	s.logger.Log(context.Background(), level, "drained", slog.String("protocol", srv.name),
		slog.Int64("drained", r.Drained), slog.Int64("killed", r.Killed), slog.Int64("stuck", r.Stuck))
	select {
	case <-stopped:
	case <-ctx.Done(): // a graceful stop waits for what is stuck, for ever
	}
	return err
}

// stopGRPC lets calls finish until ctx ends, then cuts them.
func (s *Service) stopGRPC(srv *server) func(context.Context) error {
	return func(ctx context.Context) error {
		s.grpcHealth.Close() // watches end only with their servers
		stopped := make(chan struct{})
		go func() {
			s.grpcServer.GracefulStop()
			close(stopped)
		}()
		return s.drainAll(ctx, srv, stopped, s.grpcServer.Stop)
	}
}

// stopHTTP lets requests finish until ctx ends, then cuts them.
func (s *Service) stopHTTP(srv *server, h *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		stopped := make(chan struct{})
		go func() {
			_ = httpmw.Shutdown(ctx, h) // what is left is cut
			close(stopped)
		}()
		return s.drainAll(ctx, srv, stopped, func() { _ = h.Close() })
	}
}

// stopAdmin ends the admin server. A scrape that takes longer is cut.
func stopAdmin(h *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		if h.Shutdown(ctx) != nil {
			return h.Close()
		}
		return nil
	}
}

// Close releases what a service holds that is not run: listeners, connections, and
// telemetry, which is flushed for at most five seconds. Run does it at its end, and
// while it runs Close does nothing but say so: end its context. Closing again does
// nothing.
func (s *Service) Close() error {
	if s.advance(stateSetUp, stateEnding) {
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
