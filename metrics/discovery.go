// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/multi"
)

// discoveries is what watchers, registrars and sweeps tell of.
type discoveries struct {
	services *Guard

	updates, changes, failures, skipped, stores, switches, transitions *prometheus.CounterVec
	heartbeats                                                         *family

	instances, held, origin, age, subscribers        *state
	registration, healthy, ttl, registrationFailures *state

	watchers   sources[func() []discovery.WatchStatus]
	registrars sources[func() discovery.RegistrarStatus]
}

func (s *Set) newDiscoveries() *discoveries {
	d := &discoveries{
		services: newGuard(LabelService, s.cfg.caps[LabelService]),

		updates:     s.counters(&discoveryUpdatesTotal),
		changes:     s.counters(&discoveryChangesTotal),
		failures:    s.counters(&discoveryWatchFailuresTotal),
		skipped:     s.counters(&discoverySkippedTotal),
		stores:      s.counters(&discoveryStoreFailuresTotal),
		switches:    s.counters(&discoverySwitchesTotal),
		transitions: s.counters(&registrationTransitionsTotal),
		heartbeats:  s.family(&registrationHeartbeatDuration, s.cfg.buckets, "result"),

		instances:            newState(&discoveryInstances),
		held:                 newState(&discoveryHeld),
		origin:               newState(&discoveryOrigin),
		age:                  newState(&discoveryAge),
		subscribers:          newState(&discoverySubscribers),
		registration:         newState(&registrationState),
		healthy:              newState(&registrationHealthy),
		ttl:                  newState(&registrationTTL),
		registrationFailures: newState(&registrationFailures),
	}
	s.guards = append(s.guards, d.services)
	return d
}

// Discovery returns the observer that counts what watchers, registrars and sweeps do:
// snapshots given to subscribers and what changed in them, failures, entries skipped,
// heartbeats, changes of registrations, leftovers found and removed. How they are is
// told by [Set.CollectWatcher], [Set.CollectRegistrar] and [Set.CollectPatrol]. Services
// are a label ([LabelService]); instances never are.
func (s *Set) Discovery() discovery.Observer {
	if s == nil {
		return discovery.Observer{}
	}
	d := s.discovery
	return discovery.Observer{
		Delivered: func(e discovery.Delivery) {
			service := d.services.Value(e.Snapshot.Query.Service)
			inc(d.updates, 1, service)
			inc(d.changes, e.Added, service, "added")
			inc(d.changes, e.Removed, service, "removed")
			inc(d.changes, e.Changed, service, "changed")
		},
		WatchFailed:   func(e discovery.WatchFailure) { inc(d.failures, 1, d.services.Value(e.Query.Service)) },
		Skipped:       func(e discovery.Skipped) { inc(d.skipped, 1, d.services.Value(e.Query.Service)) },
		StoreFailed:   func(q discovery.Query, _ error) { inc(d.stores, 1, d.services.Value(q.Service)) },
		StateChanged:  func(e discovery.StateChange) { inc(d.transitions, 1, d.services.Value(e.Key.Service), e.To.String()) },
		HeartbeatDone: d.heartbeat,
		SweepDone:     s.registries.swept,
	}
}

func (d *discoveries) heartbeat(e discovery.Heartbeat) {
	result := "ok"
	switch {
	case errors.Is(e.Err, discovery.ErrUnknownRegistration):
		result = "forgotten"
	case e.Err != nil:
		result = "error"
	}
	d.heartbeats.child(d.services.Value(e.Key.Service), result).observeDuration(e.Took, Exemplar{})
}

// Fallback returns the observer that counts how often watches and registrations move
// between a primary registry and its fallback.
func (s *Set) Fallback() multi.Observer {
	if s == nil {
		return multi.Observer{}
	}
	return multi.Observer{Switched: func(e multi.Switch) {
		to := "primary"
		if e.ToFallback {
			to = "fallback"
		}
		inc(s.discovery.switches, 1, s.discovery.services.Value(e.Query.Service), to)
	}}
}

// CollectWatcher makes a part of s what a watcher knows of its services, as
// [discovery.Watcher.Status] says at each scrape. There may be several.
func (s *Set) CollectWatcher(status func() []discovery.WatchStatus) {
	if s != nil && status != nil {
		s.discovery.watchers.add(status)
	}
}

// CollectRegistrar makes a part of s how a registration is doing, as
// [discovery.Registrar.Status] says at each scrape. There may be several.
func (s *Set) CollectRegistrar(status func() discovery.RegistrarStatus) {
	if s != nil && status != nil {
		s.discovery.registrars.add(status)
	}
}

func (d *discoveries) states() []*state {
	return []*state{d.instances, d.held, d.origin, d.age, d.subscribers, d.registration, d.healthy, d.ttl, d.registrationFailures}
}

var (
	origins            = upTo(discovery.OriginFallback)
	registrationStates = upTo(discovery.StateStopped)
)

func (d *discoveries) collect(v values) {
	for _, status := range d.watchers.list() {
		for _, st := range status() {
			d.watch(v, st)
		}
	}
	for _, status := range d.registrars.list() {
		st := status()
		service := d.services.Value(st.Instance.Service)
		of(v, d.registration, st.State, discovery.State.String, registrationStates, service)
		v.add(d.healthy, one(st.Health == discovery.HealthPassing && st.State != discovery.StateStopped), service)
		v.add(d.registrationFailures, float64(st.Failures), service)
		if st.TTL > 0 {
			v.set(d.ttl, st.TTL.Seconds(), less, service)
		}
	}
}

func (d *discoveries) watch(v values, st discovery.WatchStatus) {
	snap, service := st.Snapshot, d.services.Value(st.Snapshot.Query.Service)
	v.add(d.instances, float64(snap.Instances.Len()), service)
	v.add(d.subscribers, float64(st.Subscribers), service)
	of(v, d.origin, snap.Origin, discovery.Origin.String, origins, service)
	if snap.Hold != discovery.HoldNone {
		v.add(d.held, float64(snap.Held), service, snap.Hold.String())
	}
	switch snap.Origin {
	case discovery.OriginLive, discovery.OriginFallback:
		v.set(d.age, 0, more, service)
	case discovery.OriginLastKnownGood, discovery.OriginDisk:
		v.set(d.age, time.Since(snap.At).Seconds(), more, service)
	case discovery.OriginNone:
	}
}
