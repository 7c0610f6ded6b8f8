// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fairlead-go/fairlead/examples/shop/internal/registry"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// Shop is the shop while it runs. A Shop must be stopped.
type Shop interface {
	// Instances returns the services in the order in which they started.
	Instances() []Instance
	// Traces returns what is known of the requests of all services.
	Traces() report.Source
	// News returns what the policies of all services decided.
	News() report.Newspaper
	// Ended delivers the first service that ends without having been stopped.
	Ended() <-chan error
	// Stop ends the services, each before those it calls, and waits for what
	// they have in hand: each service for no longer than its drain timeout, and
	// processes of their own for no longer than ctx. It is called once.
	Stop(ctx context.Context) error
}

// Start runs all services in this process.
func Start(ctx context.Context, cfg Config) (Shop, error) {
	s := &shop{
		env:   env{cfg: cfg, services: registry.New(), recorder: report.NewRecorder(), journal: report.NewJournal()},
		ended: make(chan error, 1),
	}
	for _, name := range Names() {
		r, err := s.start(ctx, name)
		if err != nil {
			return nil, errors.Join(err, s.Stop(ctx))
		}
		s.running = append(s.running, r)
		go watch(r, s.ended)
	}
	return s, nil
}

type shop struct {
	env
	running []*running
	ended   chan error
}

// watch reports it if r ends by itself.
func watch(r *running, ended chan<- error) {
	<-r.done
	if r.stopping.Load() {
		return
	}
	select {
	case ended <- fmt.Errorf("app: %s ended: %w", r.Name, r.err):
	default: // it is not the first one
	}
}

func (s *shop) Instances() []Instance {
	out := make([]Instance, 0, len(s.running))
	for _, r := range s.running {
		out = append(out, r.Instance)
	}
	return out
}

func (s *shop) Traces() report.Source { return s.recorder }

func (s *shop) News() report.Newspaper { return s.journal }

func (s *shop) Ended() <-chan error { return s.ended }

func (s *shop) Stop(context.Context) error {
	var errs []error
	for _, r := range slices.Backward(s.running) {
		errs = append(errs, r.end())
	}
	return errors.Join(errs...)
}
