// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/health"
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

// start makes an instance of a service, runs it, and returns when others call it.
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
	err = r.registered(ctx)
	if _, ok := e.cfg.Registry.(discovery.Registry); ok && err == nil && slices.Contains(Scalable(), name) {
		err = r.called(ctx, discovery.Query{Namespace: e.cfg.Namespace, Service: name})
	}
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", id, errors.Join(err, r.end(ctx)))
	}
	return r, nil
}

// called waits until those who ask the registry call the instance, which takes them a
// moment longer. One that finds itself unhealthy is not waited for.
func (r *running) called(ctx context.Context, q discovery.Query) error {
	sub, err := r.svc.Watcher().Subscribe(q, nil)
	if err != nil {
		return err
	}
	defer sub.Close()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for late := time.Now().Add(calledTimeout); time.Now().Before(late) && !r.unhealthy(); {
		for in := range sub.Snapshot().Instances.All() {
			if in.Address == r.Addresses.GRPC+r.Addresses.HTTP { // it speaks one of them
				return nil
			}
		}
		select {
		case <-again.C:
		case <-r.done: // end says why
			return errUnasked
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// unhealthy reports whether a check has failed. One that was not run yet has not.
func (r *running) unhealthy() bool {
	return slices.ContainsFunc(r.svc.Health().Results(), func(c health.Result) bool {
		return c.State != health.StatePending && c.State != health.StateOK
	})
}

// calledTimeout bounds how long callers have to notice an instance.
const calledTimeout = 3 * time.Second

// registered waits until the instance is ready, and in the registry. One that finds itself
// unhealthy is not waited for.
func (r *running) registered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	found := make(chan error, 1)
	go func() { found <- r.svc.Registered(ctx) }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-found:
			return err
		case <-r.done: // end says why
			cancel()
			<-found
			return errUnasked
		case <-again.C:
			if r.unhealthy() {
				cancel()
				<-found
				return nil
			}
		}
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
