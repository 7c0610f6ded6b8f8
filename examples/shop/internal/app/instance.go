// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// running is an instance that runs in this process.
type running struct {
	Instance
	svc  *service
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run; read after done is closed

	stopping atomic.Bool
}

// start makes an instance of a service, runs it, and returns when callers can find it.
func (e *env) start(ctx context.Context, name, id string) (*running, error) {
	build, ok := builders[name]
	if !ok {
		return nil, fmt.Errorf("app: no service %q", name)
	}
	svc, err := build(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, err)
	}
	r := &running{
		Instance: Instance{
			ID:        id,
			Name:      name,
			Addresses: Addresses{GRPC: svc.Addr("grpc"), HTTP: svc.Addr("http")},
			Admin:     svc.Addr("admin"),
		},
		svc:  svc,
		done: make(chan struct{}),
	}
	// An instance ends when it is stopped, in its turn, and not with ctx.
	var serveCtx context.Context
	serveCtx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.done)
		r.err = svc.Run(serveCtx)
	}()
	if err := r.registered(ctx); err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, errors.Join(err, r.end(ctx)))
	}
	return r, nil
}

// registered waits until callers can find the instance.
func (r *running) registered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	found := make(chan error, 1)
	go func() { found <- r.svc.Registered(ctx) }()
	select {
	case err := <-found:
		return err
	case <-r.done: // end says why
		cancel()
		<-found
		return errors.New("the service ended by itself")
	}
}

func (r *running) instance() Instance { return r.Instance }

// end stops the instance: it leaves the registry and finishes what it has in hand, for
// no longer than [drainTimeout].
func (r *running) end(context.Context) error {
	r.stopping.Store(true)
	r.stop()
	<-r.done
	if err := errors.Join(r.err, r.svc.close()); err != nil {
		return fmt.Errorf("app: stop %s: %w", r.ID, err)
	}
	return nil
}
