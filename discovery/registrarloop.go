// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/internal/observe"
)

// run registers, and sends heartbeats until the registration is lost, for ever.
func (r *Registrar) run(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		if r.register(ctx) {
			r.failures = 0
			r.hold(ctx)
		}
	}
}

// register makes one attempt, and reports whether the instance is registered. If not,
// it has waited for the next one.
func (r *Registrar) register(ctx context.Context) bool {
	r.move(StateRegistering, r.Status().Err, 0)
	err := r.put(ctx, r.tuner.next(time.Now(), r.asked))
	if err == nil {
		r.move(StateRegistered, nil, 0)
		err = r.verifyNew(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
		return true
	}
	r.rest(ctx, err)
	return false
}

// put writes the entry, and takes the time to live that is granted.
func (r *Registrar) put(ctx context.Context, ttl time.Duration) error {
	r.asked = ttl
	health := r.health(ctx)
	start := time.Now()
	err := r.call(ctx, func(ctx context.Context) error {
		granted, err := r.registration.Register(ctx, ttl, health)
		if err == nil {
			r.granted(granted, "registered")
		}
		return err
	})
	if err == nil {
		r.beaten(start)
		r.reported(health)
		r.note(func(s *RegistrarStatus) { s.Registrations++ })
	}
	return err
}

// beaten notes that the time to live began anew.
func (r *Registrar) beaten(at time.Time) {
	some := r.interval() / 5
	r.beatAt, r.early = at, some-r.cfg.pace.spread(some)
}

func (r *Registrar) granted(ttl time.Duration, reason string) {
	if ttl == r.ttl || ttl <= 0 {
		return
	}
	from := r.ttl
	r.ttl = ttl
	r.note(func(s *RegistrarStatus) { s.TTL = ttl })
	observe.Tell(r.cfg.observer.TTLChanged, TTLChange{r.instance.Key(), from, ttl, reason})
}

// rest waits after a registration that failed, or did not last.
func (r *Registrar) rest(ctx context.Context, err error) {
	r.failures++
	state, wait := StateRegistering, r.cfg.pace.after(r.failures)
	if errors.Is(err, ErrDuplicateID) {
		state, wait = StateConflict, r.ttl
	} else if r.failures >= r.cfg.breakAfter {
		state, wait = StateOpen, r.cfg.pace.spread(r.cfg.breakTime)
	}
	r.move(state, err, wait)
	if state == StateConflict {
		r.yield(ctx)
		return
	}
	sleep(ctx, wait, nil)
}

// yield leaves the entry to the other process for as long as that one renews it.
func (r *Registrar) yield(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, r.ttl, nil)
		var other Instance
		err := r.call(ctx, func(ctx context.Context) (err error) {
			other, err = r.registration.Lookup(ctx)
			return err
		})
		if errors.Is(err, ErrUnknownRegistration) || err == nil && other.Address == r.instance.Address {
			return
		}
	}
}

// verifyNew reads the entry back until it is there, or a third of the time to live is
// over. A registry that cannot be read from does not count: heartbeats go on.
func (r *Registrar) verifyNew(ctx context.Context) error {
	until := time.Now().Add(r.interval())
	for n := 1; ; n++ {
		err := r.verify(ctx)
		if err == nil || errors.Is(err, ErrDuplicateID) || ctx.Err() != nil {
			return err
		}
		wait := r.cfg.pace.after(n)
		if time.Now().Add(wait).After(until) {
			if errors.Is(err, ErrNotVisible) {
				return err
			}
			return nil
		}
		sleep(ctx, wait, nil)
	}
}

// verify reads the entry back.
func (r *Registrar) verify(ctx context.Context) error {
	var found Instance
	err := r.call(ctx, func(ctx context.Context) (err error) {
		found, err = r.registration.Lookup(ctx)
		return err
	})
	switch {
	case errors.Is(err, ErrUnknownRegistration):
		return fmt.Errorf("%w: %s: the registry accepted it %v ago, and callers do not find it", ErrNotVisible, r.instance.Key(), time.Since(r.beatAt).Round(time.Millisecond))
	case err != nil:
		return err
	case found.Address != r.instance.Address:
		return fmt.Errorf("%w: %s is registered for %s, and this process is %s: give each its own id, or none", ErrDuplicateID, r.instance.Key(), found.Address, r.instance.Address)
	}
	r.verifyAt = time.Time{}
	if d := r.cfg.verifyEvery; d > 0 {
		r.verifyAt = time.Now().Add(r.cfg.pace.spread(d))
	}
	r.note(func(s *RegistrarStatus) { s.LastSeen = time.Now() })
	r.move(StateVisible, nil, 0)
	return nil
}

// hold sends heartbeats until the registration is lost or ctx ends.
func (r *Registrar) hold(ctx context.Context) {
	r.missed = 0
	for {
		if sleep(ctx, r.pause(), r.wake); ctx.Err() != nil {
			return
		}
		err := r.beat(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && r.due() {
			err = r.verify(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrUnknownRegistration), errors.Is(err, ErrNotVisible):
			// Everybody else has lost theirs, too: do not come back together.
			wait := r.cfg.pace.spread(r.interval() / 5)
			r.move(StateRegistering, err, wait)
			sleep(ctx, wait, nil)
			return
		case errors.Is(err, ErrDuplicateID):
			r.rest(ctx, err)
			return
		case err != nil:
			r.missed++
			r.move(StateAway, err, r.pause())
		default:
			r.missed = 0
		}
	}
}

func (r *Registrar) interval() time.Duration { return r.ttl / 3 }

// pause returns how long to wait for the next heartbeat.
func (r *Registrar) pause() time.Duration {
	interval := r.interval()
	if r.missed > 0 {
		return min(r.cfg.pace.after(r.missed), interval)
	}
	if r.damper.undecided() {
		interval /= 5
	}
	// Those who began together do not stay together.
	return max(time.Until(r.beatAt.Add(interval-r.early)), 0)
}

// due reports whether it is time to read the entry back: after the registry was away,
// when it was not read back yet, and every now and then.
func (r *Registrar) due() bool {
	return r.Status().State != StateVisible || !r.verifyAt.IsZero() && !time.Now().Before(r.verifyAt)
}

// beat sends one heartbeat, or registers again with another time to live if there
// should be one.
func (r *Registrar) beat(ctx context.Context) error {
	if ttl := r.tuner.next(time.Now(), r.asked); ttl != r.asked {
		return r.put(ctx, ttl)
	}
	health := r.health(ctx)
	start := time.Now()
	err := r.call(ctx, func(ctx context.Context) error {
		granted, err := r.registration.Heartbeat(ctx, health)
		if err == nil {
			r.granted(granted, "granted")
		}
		return err
	})
	if ctx.Err() != nil {
		return err
	}
	took := time.Since(start)
	r.tuner.observe(took, r.interval())
	if err == nil {
		r.beaten(start)
		r.reported(health)
		r.note(func(s *RegistrarStatus) { s.Heartbeats++; s.LastHeartbeat = start })
	}
	st := r.Status()
	observe.Tell(r.cfg.observer.HeartbeatDone, Heartbeat{r.instance.Key(), health, st.HealthErr, took, err})
	return err
}

// health asks how the process is.
func (r *Registrar) health(ctx context.Context) Health {
	err := r.probe.run(ctx)
	h := HealthFailing
	if r.damper.observe(time.Now(), err == nil) {
		h = HealthPassing
	}
	r.note(func(s *RegistrarStatus) { s.HealthErr = err })
	return h
}
