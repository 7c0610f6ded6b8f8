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
)

// server is one listener and what serves on it.
type server struct {
	name     string
	listener net.Listener
	serve    func(net.Listener) error
	// stop ends serving: gracefully until ctx ends, then at once.
	stop func(ctx context.Context) error
}

// listen opens a listener for a server that is run later.
func (s *Service) listen(name, addr string, serve func(net.Listener) error, stop func(context.Context) error) error {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.servers = append(s.servers, &server{name: name, listener: l, serve: serve, stop: stop})
	return nil
}

// Run serves until ctx ends, the process gets SIGINT or SIGTERM (but see
// [WithoutSignals]), or a server fails. Then it ends in order: the service says it is not ready, servers take
// no new requests and finish those under way for at most the drain timeout,
// connections are closed, telemetry is flushed. It returns nil if it was asked
// to end and did so cleanly. A second signal ends the process as usual.
func (s *Service) Run(ctx context.Context) error {
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
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	release()
	err = errors.Join(err, s.stop())
	serving.Wait()
	return err
}

// stop ends the service in order.
func (s *Service) stop() error {
	s.logger.Info("stopping")
	s.health.Stop() // probers and those who watch are told
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
	s.servers = nil
	return errors.Join(err, s.Close())
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

// stopGRPC lets calls finish until ctx ends, then cuts them.
func (s *Service) stopGRPC(ctx context.Context) error {
	s.grpcHealth.Close() // watches end only with their servers
	done := make(chan struct{})
	go func() {
		s.grpcServer.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpcServer.Stop()
		<-done
		return errors.New("calls were cut at the end of the drain timeout")
	}
}

// stopHTTP lets requests finish until ctx ends, then cuts them.
func stopHTTP(srv *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := srv.Shutdown(ctx); err != nil {
			return errors.Join(errors.New("requests were cut at the end of the drain timeout"), srv.Close())
		}
		return nil
	}
}

// Close releases what the service holds: listeners that were never served,
// connections, and telemetry, which is flushed for at most five seconds. Run
// does it at its end. Closing again does nothing.
func (s *Service) Close() error {
	s.mu.Lock()
	servers, clients, idle, tel := s.servers, s.clients, s.idle, s.telemetry
	s.servers, s.clients, s.idle, s.telemetry = nil, nil, nil, nil
	s.mu.Unlock()
	if s.grpcHealth != nil {
		s.grpcHealth.Close()
	}
	if s.health != nil {
		s.health.Close()
	}
	var errs []error
	for _, srv := range slices.Backward(servers) {
		errs = append(errs, srv.listener.Close())
	}
	for _, c := range clients {
		if err := c.Close(); status.Code(err) != codes.Canceled { // closed already, by who asked for it
			errs = append(errs, err)
		}
	}
	for _, c := range idle {
		c.CloseIdleConnections()
	}
	if tel != nil {
		ctx, cancel := context.WithTimeout(context.Background(), telemetryTimeout)
		defer cancel()
		// A collector that is away is no reason for a service to fail.
		if err := tel.Shutdown(ctx); err != nil && s.logger != nil {
			s.logger.Warn("telemetry not flushed", slog.Any("error", err))
		}
	}
	return errors.Join(errs...)
}
