// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// The metadata of a service in Consul that are not those of the instance.
const (
	// metaNamespace is the environment, and the mark of what was written here.
	metaNamespace = discovery.ReservedMetadata + "namespace"
	metaZone      = discovery.ReservedMetadata + "zone"
	metaVersion   = discovery.ReservedMetadata + "version"
)

// What Consul takes as metadata of a service.
const (
	maxMeta      = 64
	consulPrefix = "consul-"
)

// registration is one instance in one agent.
type registration struct {
	backend  *Backend
	instance discovery.Instance
	service  *api.AgentServiceRegistration // without its check
	ttl      atomic.Int64                  // as it was last registered; 0 before that
}

// Registration implements [discovery.Registry]. It also fails on metadata that Consul
// does not take: keys that begin with "consul-", and more than 64 with those of this
// package, of which there are up to 3.
func (b *Backend) Registration(in discovery.Instance) (discovery.Registration, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	meta := maps.Clone(n.Metadata)
	if meta == nil {
		meta = map[string]string{}
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if strings.HasPrefix(key, consulPrefix) {
			return nil, fmt.Errorf("consul: %s: metadata key %q: must not begin with %s, which Consul keeps for itself", n.Key(), key, consulPrefix)
		}
	}
	meta[metaNamespace] = string(n.Namespace)
	if n.Zone != "" {
		meta[metaZone] = n.Zone
	}
	if n.Version != "" {
		meta[metaVersion] = n.Version
	}
	if own := len(meta) - len(n.Metadata); len(meta) > maxMeta {
		return nil, fmt.Errorf("consul: %s: number of metadata %d: must be at most %d, because Consul takes %d and this instance's zone, version and namespace take %d", n.Key(), len(n.Metadata), maxMeta-own, maxMeta, own)
	}
	host, port, err := net.SplitHostPort(n.Address)
	if err != nil {
		return nil, fmt.Errorf("consul: %s: address: %w", n.Key(), err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("consul: %s: port: %w", n.Key(), err)
	}
	tags := append(slices.Clone(n.Tags), b.cfg.tags...)
	slices.Sort(tags)
	return &registration{backend: b, instance: n, service: &api.AgentServiceRegistration{
		ID: b.id(n.Key()), Name: b.service(n.Key().Query()), Address: host, Port: number,
		Tags: slices.Compact(tags), Meta: meta, Weights: &api.AgentWeights{Passing: n.Weight, Warning: n.Weight},
		Namespace: b.namespace(n.Namespace),
	}}, nil
}

// What a check says of an instance that says of itself that it fails, or leaves. It is
// the same each time: another text would be a change. Both are critical, for those who
// do not read the text.
const (
	failing = "the instance says that it fails"
	leaving = "the instance says that it leaves"
)

// status returns the state of the check, and its text.
func status(h discovery.Health) (state, output string) {
	switch h {
	case discovery.HealthFailing:
		return api.HealthCritical, failing
	case discovery.HealthLeaving:
		return api.HealthCritical, leaving
	default:
		return api.HealthPassing, ""
	}
}

// Register implements [discovery.Registration]. It is two requests: an agent that knows
// the check already keeps the state that it has, whatever it is registered with.
func (r *registration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	if ttl <= 0 {
		return 0, fmt.Errorf("consul: TTL %v: must be positive", ttl)
	}
	b := r.backend
	state, output := status(h)
	service := *r.service
	service.Check = &api.AgentServiceCheck{
		CheckID: checkID(service.ID), Name: "heartbeat", TTL: ttl.String(), Status: state,
		DeregisterCriticalServiceAfter: b.cfg.deregisterAfter.String(),
	}
	opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(within(ctx, service.Namespace))
	if err := b.client.Agent().ServiceRegisterOpts(&service, opts); err != nil {
		return 0, b.fault(ctx, "register "+r.instance.Key().String(), err)
	}
	if err := r.update(ctx, state, output); err != nil {
		return 0, b.fault(ctx, "register "+r.instance.Key().String(), err)
	}
	r.ttl.Store(int64(ttl))
	return ttl, nil
}

func (r *registration) update(ctx context.Context, state, output string) error {
	return r.backend.client.Agent().UpdateTTLOpts(checkID(r.service.ID), output, state, r.backend.options(ctx, r.instance.Namespace))
}

// Heartbeat implements [discovery.Registration]. A handle that registered nothing knows
// no time to live, and has nothing to renew.
func (r *registration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	ttl := time.Duration(r.ttl.Load())
	if ttl == 0 {
		return 0, fmt.Errorf("consul: %s was not registered by this process: %w", r.instance.Key(), discovery.ErrUnknownRegistration)
	}
	state, output := status(h)
	err := r.update(ctx, state, output)
	if isUnknown(err) {
		return 0, r.unknown(err)
	}
	return ttl, r.backend.fault(ctx, "heartbeat of "+r.instance.Key().String(), err)
}

func (r *registration) unknown(err error) error {
	if err == nil {
		return fmt.Errorf("consul: %s at %s: %w", r.instance.Key(), r.backend.where, discovery.ErrUnknownRegistration)
	}
	return fmt.Errorf("consul: %s at %s: %w: %w", r.instance.Key(), r.backend.where, discovery.ErrUnknownRegistration, err)
}

// Lookup implements [discovery.Registration]. It asks the catalog, as watches do, and not
// the agent: what the agent knows may never have reached the others. Any server may
// answer, because without a leader the others would be waited for, for longer than
// heartbeats can wait.
func (r *registration) Lookup(ctx context.Context) (discovery.Instance, error) {
	b, q := r.backend, r.instance.Key().Query()
	opts := b.options(ctx, q.Namespace)
	opts.AllowStale = true
	opts.Filter = "Service.ID == " + strconv.Quote(r.service.ID)
	answer, _, err := list[json.RawMessage](b, r.service.Name, opts)
	if err != nil {
		return discovery.Instance{}, b.fault(ctx, "look up "+r.instance.Key().String(), err)
	}
	found := newListing(b.naming, q)
	found.read(answer)
	it := found.shown[r.instance.ID]
	if it == nil {
		return discovery.Instance{}, r.unknown(errors.Join(found.faults()...))
	}
	return it.instance, nil
}

// Deregister implements [discovery.Registration]. It compares the address first: the
// agent has no request that does both.
func (r *registration) Deregister(ctx context.Context) error {
	b := r.backend
	what := "deregister " + r.instance.Key().String()
	found, _, err := b.client.Agent().Service(r.service.ID, b.options(ctx, r.instance.Namespace))
	switch {
	case isUnknown(err):
		return nil
	case err != nil:
		return b.fault(ctx, what, err)
	case found.Address != r.service.Address || found.Port != r.service.Port:
		return nil
	}
	err = b.client.Agent().ServiceDeregisterOpts(r.service.ID, b.options(ctx, r.instance.Namespace))
	if isUnknown(err) {
		return nil
	}
	return b.fault(ctx, what, err)
}
