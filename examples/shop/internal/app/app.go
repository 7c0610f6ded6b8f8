// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// Shop is the shop while it runs. A Shop must be stopped. It is safe for concurrent
// use.
type Shop interface {
	// Instances returns what runs, in the order in which it started.
	Instances() []Instance
	// Add starts one more instance of a service, and returns when callers can find it,
	// unless its health is what keeps them from it.
	Add(ctx context.Context, service string) (Instance, error)
	// End ends an instance as a deployment does: it leaves the registry, and finishes
	// what it has in hand.
	End(ctx context.Context, id string) error
	// Traces returns what is known of the requests of all services.
	Traces() report.Source
	// News returns what the policies of all services decided.
	News() report.Newspaper
	// Ended delivers the first instance that ends without having been stopped.
	Ended() <-chan error
	// Stop ends the services, each before those it calls, and waits for what
	// they have in hand: each instance for no longer than its drain timeout, and
	// processes of their own for no longer than ctx. It is called once, and last.
	Stop(ctx context.Context) error
}

// Killer is a [Shop] whose instances can die.
type Killer interface {
	// Kill ends an instance like a crash: it says nothing to anybody.
	Kill(ctx context.Context, id string) error
}

// Start runs all services in this process.
func Start(ctx context.Context, cfg Config) (Shop, error) {
	s := &shop{
		env:   env{cfg: cfg.withDefaults(), recorder: report.NewRecorder(), journal: report.NewJournal()},
		ended: make(chan error, 1),
	}
	s.launch = func(ctx context.Context, name, id string) (*running, error) {
		r, err := s.start(ctx, name, id)
		if err == nil {
			go watch(r, s.ended)
		}
		return r, err
	}
	if err := s.openAll(ctx, cfg.Scale); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

type shop struct {
	env
	fleet[*running]
	ended chan error
}

// watch reports it if r ends by itself.
func watch(r *running, ended chan<- error) {
	<-r.done
	if r.stopping.Load() {
		return
	}
	select {
	case ended <- fmt.Errorf("app: %s ended: %w", r.ID, errors.Join(r.err, errUnasked)):
	default: // it is not the first one
	}
}

// errUnasked says that nobody asked an instance to end.
var errUnasked = errors.New("it ended unasked")

func (s *shop) Traces() report.Source { return s.recorder }

func (s *shop) News() report.Newspaper { return s.journal }

func (s *shop) Ended() <-chan error { return s.ended }
