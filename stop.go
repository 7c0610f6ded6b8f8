// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/httpmw"
)

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
	s.advance(stateEnding, stateStarting, stateServing)
	s.mu.Lock()
	registrars := s.registrars
	s.registrars = nil
	s.mu.Unlock()
	for _, r := range registrars {
		r.unsubscribe() // that it leaves is not that it fails
	}
	s.health.Stop() // probers and those who watch are told
	// The admin server comes last: while the others drain, it says so.
	var public, admin []*server
	for _, srv := range s.servers {
		if srv.name == "admin" {
			admin = append(admin, srv)
		} else {
			public = append(public, srv)
			srv.drainer.Leave()
		}
	}
	s.deregister(registrars)
	if len(public) > 0 {
		time.Sleep(s.config.drainWait) // until callers have noticed
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.drainTimeout)
	defer cancel()
	errs := []error{stopAll(ctx, public)}
	for _, finish := range s.config.drains {
		if err := finish(ctx); err != nil {
			errs = append(errs, fmt.Errorf("fairlead: draining: %w", err))
		}
	}
	err := errors.Join(append(errs, stopAll(ctx, admin))...)
	return errors.Join(err, s.release())
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
		if httpmw.Shutdown(ctx, h) != nil {
			return h.Close()
		}
		return nil
	}
}
