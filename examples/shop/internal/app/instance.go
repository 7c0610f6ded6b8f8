// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
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
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run; read after done is closed

	stopping atomic.Bool
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
	var serveCtx context.Context
	serveCtx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.done)
		r.err = svc.Run(serveCtx)
	}()
	e.services.Set(name, r.Addresses)
	return r, nil
}

// end stops the service: it finishes what it has in hand, for no longer than
// [drainTimeout].
func (r *running) end() error {
	r.stopping.Store(true)
	r.stop()
	<-r.done
	if err := errors.Join(r.err, r.svc.close()); err != nil {
		return fmt.Errorf("app: stop %s: %w", r.Name, err)
	}
	return nil
}
