// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// Registrar keeps one instance registered, on a goroutine of its own, until it is told
// to deregister: it sends heartbeats, as healthy as the process is, registers again
// when the registry forgot it, and reads back whether callers can find it. It never
// gives up, and nothing that a request calls waits for the registry. Use
// [NewRegistrar]. It is safe for concurrent use.
type Registrar struct {
	cfg          registrarConfig
	instance     Instance
	registration Registration
	cancel       context.CancelFunc
	wake         chan struct{}
	done         chan struct{} // closed when the loop has ended

	mu      sync.Mutex
	status  RegistrarStatus
	changed chan struct{} // closed when the state changes

	stopping sync.Mutex // held by Deregister
	stopped  bool
	left     bool // the registry was told that it leaves

	// What follows belongs to the loop, and after it to Deregister.
	probe    probe
	damper   damper
	tuner    tuner
	failures int           // of registrations, in a row
	missed   int           // heartbeats, in a row
	asked    time.Duration // the time to live that was asked for
	ttl      time.Duration // … and the one that was granted
	beatAt   time.Time     // when the last call that renewed the time to live began
	early    time.Duration // how much less than an interval after it the next one is due
	verifyAt time.Time
}

// RegistrarStatus is how a registration is doing.
type RegistrarStatus struct {
	Instance Instance
	State    State
	Since    time.Time // of the state
	// Health is what was last reported, and HealthErr what the check said.
	Health    Health
	HealthErr error
	// TTL is the time to live that the registry granted.
	TTL time.Duration
	// Err is what is wrong at the moment, with the registry or the registration.
	Err error
	// Failures counts what failed in a row, registrations or heartbeats.
	Failures int
	// Registrations and Heartbeats count those that succeeded.
	Registrations, Heartbeats uint64
	LastHeartbeat, LastSeen   time.Time
}

// NewRegistrar begins to register an instance, for a process of one environment, such
// as [NamespaceFromEnv] returns it. It does not wait for the registry. An instance that
// states another environment is refused ([ErrForeignNamespace]); one that states none
// gets the process's. It fails on values that make no sense; the error names each.
//
// Who makes a Registrar calls [Registrar.Deregister] at the end. If nobody does, for
// lack of a chance to, the time to live ends the registration.
func NewRegistrar(registry Registry, namespace Namespace, in Instance, opts ...RegistrarOption) (*Registrar, error) {
	r, err := newRegistrar(registry, namespace, in, opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.run(ctx)
	return r, nil
}

// CheckRegistration returns the error that [NewRegistrar] would, and begins nothing: for
// programs that want to know before they serve.
func CheckRegistration(registry Registry, namespace Namespace, in Instance, opts ...RegistrarOption) error {
	_, err := newRegistrar(registry, namespace, in, opts)
	return err
}

func newRegistrar(registry Registry, namespace Namespace, in Instance, opts []RegistrarOption) (*Registrar, error) {
	if in.Namespace == "" {
		in.Namespace = namespace
	}
	if in.Namespace != namespace {
		return nil, fmt.Errorf("%w: service %q for %q from a process of %q: nothing was registered. If it does belong there, run it with %s=%s=%s",
			ErrForeignNamespace, in.Service, string(in.Namespace), string(namespace), resourceVariable, environmentKey, string(in.Namespace))
	}
	cfg, cfgErr := newRegistrarConfig(opts)
	n, err := in.Normalized()
	if err := errors.Join(err, cfgErr); err != nil {
		return nil, err
	}
	registration, err := registry.Registration(n)
	if err != nil {
		return nil, err
	}
	return &Registrar{
		cfg: cfg, instance: n, registration: registration,
		wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
		status: RegistrarStatus{Instance: n, Since: time.Now()},
		probe:  probe{check: cfg.health, timeout: cfg.healthTimeout},
		damper: damper{failAfter: cfg.failAfter, passAfter: cfg.passAfter, window: 10 * cfg.ttl},
		tuner:  cfg.tuner, asked: cfg.ttl, ttl: cfg.ttl,
	}, nil
}

// Instance returns what is registered.
func (r *Registrar) Instance() Instance { return r.instance }

// Status returns how the registration is doing.
func (r *Registrar) Status() RegistrarStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Ready waits until callers can find the instance: it was read back, and reports that it
// passes. The error names what was wrong when ctx ended.
func (r *Registrar) Ready(ctx context.Context) error {
	for {
		r.mu.Lock()
		st, changed := r.status, r.changed
		r.mu.Unlock()
		switch st.State {
		case StateVisible:
			if st.Health == HealthPassing {
				return nil
			}
		case StateStopped:
			return fmt.Errorf("discovery: %s: %w", r.instance.Key(), ErrClosed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("discovery: %s is %s, reports %s, and is not found: %w", r.instance.Key(), st.State, st.Health, context.Cause(ctx)), st.Err, st.HealthErr)
		}
	}
}

// Check is a health check: it fails if callers may not find the instance. It is about
// the registry: do not make it one that the registration's own health depends on.
func (r *Registrar) Check(context.Context) error {
	st := r.Status()
	if st.State == StateVisible || st.State == StateRegistered {
		return nil
	}
	return errors.Join(fmt.Errorf("discovery: %s is %s", r.instance.Key(), st.State), st.Err)
}

// Refresh checks the health and sends a heartbeat now: when readiness has changed, for
// one.
func (r *Registrar) Refresh() { signal(r.wake) }

// Deregister ends the heartbeats and takes the instance out of the registry. It says
// first that it leaves (HealthLeaving), so that nobody takes it for lost, and gives
// callers the time of [WithLeaveTime] to hear of it. They still hold its address for a
// while: a server goes on serving until they had time to notice. It tries for as long as ctx lasts, or three times if ctx has no end. After an
// error, the time to live ends the registration. It can be called again; after it
// succeeded once, it does nothing. It must not be called by an observer.
func (r *Registrar) Deregister(ctx context.Context) error {
	r.cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
		return r.notDeregistered(context.Cause(ctx))
	}
	r.stopping.Lock()
	defer r.stopping.Unlock()
	if r.stopped {
		return nil
	}
	if r.Status().State == StateConflict { // the entry is another's
		r.stopped = true
		r.move(StateStopped, nil, 0)
		return nil
	}
	r.leave(ctx)
	_, bounded := ctx.Deadline()
	for n := 1; ; n++ {
		err := r.call(ctx, r.registration.Deregister)
		if err == nil || errors.Is(err, ErrUnknownRegistration) {
			r.stopped = true
			r.move(StateStopped, nil, 0)
			return nil
		}
		if ctx.Err() != nil || !bounded && n >= 3 {
			r.move(StateStopped, err, 0)
			return r.notDeregistered(err)
		}
		sleep(ctx, r.cfg.pace.after(n), nil)
	}
}

// leave says that the instance is about to go, if there is a registration to say it of.
func (r *Registrar) leave(ctx context.Context) {
	if r.left || r.cfg.leaveTime == 0 || r.Status().Registrations == 0 {
		return
	}
	err := r.call(ctx, func(ctx context.Context) error {
		_, err := r.registration.Heartbeat(ctx, HealthLeaving)
		return err
	})
	if err == nil {
		r.left = true
		r.reported(HealthLeaving)
		sleep(ctx, r.cfg.leaveTime, nil)
	}
}

func (r *Registrar) notDeregistered(err error) error {
	return fmt.Errorf("discovery: %s is not deregistered, and will be found until its time to live of %v is over: %w", r.instance.Key(), r.Status().TTL, err)
}

// call makes one call, with its time limit.
func (r *Registrar) call(ctx context.Context, f func(context.Context) error) error {
	limit := min(r.cfg.callTimeout, max(r.ttl/3, time.Second))
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("discovery: no answer within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// move changes the state, and tells of it if it is another one.
func (r *Registrar) move(to State, err error, next time.Duration) {
	r.mu.Lock()
	from := r.status.State
	r.status.Err, r.status.Failures, r.status.TTL = err, max(r.failures, r.missed), r.ttl
	if from == to {
		r.mu.Unlock()
		return
	}
	r.status.State, r.status.Since = to, time.Now()
	close(r.changed)
	r.changed = make(chan struct{})
	e := StateChange{r.instance.Key(), from, to, err, r.status.Failures, next, r.ttl}
	r.mu.Unlock()
	observe.Tell(r.cfg.observer.StateChanged, e)
}

// reported notes what the registry was told of the health.
func (r *Registrar) reported(h Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Health != h {
		r.status.Health = h
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

func (r *Registrar) note(f func(*RegistrarStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.status)
}
