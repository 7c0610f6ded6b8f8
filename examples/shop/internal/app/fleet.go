// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Addresses says where an instance listens, as "host:port"; empty if it does not speak
// that protocol.
type Addresses struct {
	GRPC string `json:"grpc,omitempty"`
	HTTP string `json:"http,omitempty"`
}

// Instance is one running instance of a service as others see it.
type Instance struct {
	// ID is unique in the shop: the name of the service and a number, "order-2".
	ID   string `json:"id"`
	Name string `json:"name"`
	// Addresses is where the instance listens.
	Addresses Addresses `json:"addresses"`
	// Admin is the address of /metrics and the health endpoints.
	Admin string `json:"admin"`
}

// member is an instance that this process has started.
type member interface {
	instance() Instance
	// end lets it finish what it has in hand. Where that is not bounded by itself, it is
	// by ctx.
	end(ctx context.Context) error
}

// fleet is the instances that run.
type fleet[M member] struct {
	launch func(ctx context.Context, name, id string) (M, error)

	mu      sync.Mutex
	members []M // in the order in which they started
	started map[string]int
}

// openAll starts all services, each with as many instances as scale says and at least one.
func (f *fleet[M]) openAll(ctx context.Context, scale map[string]int) error {
	f.started = make(map[string]int)
	for _, name := range Names() {
		for range max(1, scale[name]) {
			if _, err := f.Add(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Add implements [Shop].
func (f *fleet[M]) Add(ctx context.Context, name string) (Instance, error) {
	f.mu.Lock()
	f.started[name]++
	id := fmt.Sprintf("%s-%d", name, f.started[name])
	f.mu.Unlock()
	m, err := f.launch(ctx, name, id)
	if err != nil {
		return Instance{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, m)
	return m.instance(), nil
}

// End implements [Shop].
func (f *fleet[M]) End(ctx context.Context, id string) error {
	m, err := f.take(id)
	if err != nil {
		return err
	}
	return m.end(ctx)
}

// Instances implements [Shop].
func (f *fleet[M]) Instances() []Instance {
	var all []Instance
	for _, m := range f.list() {
		all = append(all, m.instance())
	}
	return all
}

func (f *fleet[M]) list() []M {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.members)
}

// take takes an instance out of the list, to be ended.
func (f *fleet[M]) take(id string) (m M, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range f.members {
		if m.instance().ID == id {
			f.members = slices.Delete(f.members, i, i+1)
			return m, nil
		}
	}
	return m, fmt.Errorf("app: no instance %q", id)
}

// Stop implements [Shop].
func (f *fleet[M]) Stop(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	for _, name := range slices.Backward(Names()) {
		var ending sync.WaitGroup
		for _, m := range f.list() {
			if m.instance().Name != name {
				continue
			}
			ending.Go(func() {
				err := m.end(ctx)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
		ending.Wait()
	}
	return errors.Join(errs...)
}
