// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fairlead-go/fairlead/examples/shop/internal/registry"
)

// Instance is one running service as others see it.
type Instance struct {
	Name string `json:"name"`
	// Addresses is where the service listens.
	Addresses registry.Addresses `json:"addresses"`
	// Admin is the address of /metrics and the health endpoints.
	Admin string `json:"admin"`
}

// running is a service that runs in this process.
type running struct {
	Instance
	svc  *service
	stop context.CancelFunc // ends the servers
	work context.CancelFunc // ends what runs in the background
	done chan struct{}
	err  error // of Run; read after done is closed

	stopping   atomic.Bool
	background sync.WaitGroup
}

// start builds a service, runs it and makes it known.
func (e *env) start(ctx context.Context, name string) (*running, error) {
	build, ok := builders[name]
	if !ok {
		return nil, fmt.Errorf("app: no service %q", name)
	}
	svc, err := build(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("app: start %s: %w", name, err)
	}
	r := &running{
		Instance: Instance{
			Name:      name,
			Addresses: registry.Addresses{GRPC: svc.Addr("grpc"), HTTP: svc.Addr("http")},
			Admin:     svc.Addr("admin"),
		},
		svc:  svc,
		done: make(chan struct{}),
	}
	// A service ends when it is stopped, in its turn, and not with ctx.
	var serveCtx, workCtx context.Context
	serveCtx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	workCtx, r.work = context.WithCancel(context.WithoutCancel(ctx))
	for _, run := range svc.background {
		r.background.Go(func() { run(workCtx) })
	}
	go func() {
		defer close(r.done)
		r.err = svc.Run(serveCtx)
	}()
	e.services.Set(name, r.Addresses)
	return r, nil
}

// end stops the service. Its callers have been stopped before, so there are no
// new requests: what it still has in hand is finished first, then the servers
// end, and with them telemetry.
func (r *running) end(ctx context.Context) error {
	r.stopping.Store(true)
	var errs []error
	for _, finish := range r.svc.finish {
		errs = append(errs, finish(ctx))
	}
	r.work()
	r.background.Wait()
	r.stop()
	<-r.done
	errs = append(errs, r.err, r.svc.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("app: stop %s: %w", r.Name, err)
	}
	return nil
}
