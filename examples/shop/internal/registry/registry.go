// SPDX-License-Identifier: Apache-2.0

// Package registry is the shop's service discovery, kept as small as it can be:
// a table of names and addresses in memory. The services see only [Lookup].
//
//	services := registry.New()
//	services.Set("inventory", registry.Addresses{GRPC: lis.Addr().String()})
//	addrs, err := services.Lookup(ctx, "inventory")
//
// A real registry has health, watches and leases; this one is set once a service
// has its ports and does not change afterwards.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

// Addresses says where one service listens, as "host:port"; empty if it does
// not speak that protocol.
type Addresses struct {
	GRPC string `json:"grpc,omitempty"`
	HTTP string `json:"http,omitempty"`
}

// Lookup finds services by name.
type Lookup interface {
	// Lookup returns where a service listens; it fails for an unknown one.
	Lookup(ctx context.Context, service string) (Addresses, error)
}

// Registry is a table of services in memory. Make it with [New]. It is safe for
// concurrent use.
type Registry struct {
	mu       sync.RWMutex
	services map[string]Addresses
}

var _ Lookup = (*Registry)(nil)

// New returns an empty registry.
func New() *Registry { return &Registry{services: make(map[string]Addresses)} }

// Parse returns a registry with the services that [Registry.String] wrote.
func Parse(text string) (*Registry, error) {
	r := New()
	if text == "" {
		return r, nil
	}
	var services map[string]Addresses
	if err := json.Unmarshal([]byte(text), &services); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	maps.Copy(r.services, services)
	return r, nil
}

// Set makes a service known, in place of what was known before.
func (r *Registry) Set(service string, a Addresses) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services[service] = a
}

// Lookup implements [Lookup].
func (r *Registry) Lookup(_ context.Context, service string) (Addresses, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	a, ok := r.services[service]
	if !ok {
		return Addresses{}, fmt.Errorf("registry: no service %q", service)
	}
	return a, nil
}

// Services returns all that is known.
func (r *Registry) Services() map[string]Addresses {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return maps.Clone(r.services)
}

// String returns the table in a form that another process can [Parse].
func (r *Registry) String() string {
	text, err := json.Marshal(r.Services())
	if err != nil { // strings only: cannot happen
		return "{}"
	}
	return string(text)
}
