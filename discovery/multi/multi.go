// SPDX-License-Identifier: Apache-2.0

package multi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// Backend is a primary registry with a fallback. Use [New]. It is safe for concurrent
// use, starts no goroutine and needs no closing.
type Backend struct {
	*Catalog
	primary, fallback discovery.Registry
}

var _ discovery.Backend = (*Backend)(nil)

// New returns the registry that is made of two. It fails on options that make no sense.
func New(primary, fallback discovery.Backend, opts ...Option) (*Backend, error) {
	c, err := NewCatalog(primary, fallback, opts...)
	if err != nil {
		return nil, err
	}
	return &Backend{c, primary, fallback}, nil
}

// Registration implements [discovery.Registry].
func (b *Backend) Registration(in discovery.Instance) (discovery.Registration, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	primary, err := b.primary.Registration(n)
	if err != nil {
		return nil, fmt.Errorf("multi: primary: %w", err)
	}
	fallback, err := b.fallback.Registration(n)
	if err != nil {
		return nil, fmt.Errorf("multi: fallback: %w", err)
	}
	return &registration{cfg: b.cfg, key: n.Key(), primary: side{Registration: primary}, fallback: side{Registration: fallback}}, nil
}

// registration is in one of two registries.
type registration struct {
	cfg               config
	key               discovery.Key
	primary, fallback side
	onFallback        bool

	ttl     time.Duration // that was asked for
	probeAt time.Time     // when to try the primary, while on the fallback
	moveAt  time.Time     // when to move back to it; zero while it is away
	cleanAt time.Time     // when to leave the fallback, after moving back

	// The heartbeats that neither registry took.
	awaySince time.Time
	kept      int
}

// Register implements [discovery.Registration].
func (r *registration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	r.ttl = ttl
	if r.onFallback {
		return r.whileAway(ctx, h)
	}
	return r.onPrimary(ctx, h, func(ctx context.Context) (time.Duration, error) { return r.primary.register(ctx, ttl, h) })
}

// Heartbeat implements [discovery.Registration].
func (r *registration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	if r.onFallback {
		return r.whileAway(ctx, h)
	}
	ttl, err := r.onPrimary(ctx, h, func(ctx context.Context) (time.Duration, error) { return r.primary.heartbeat(ctx, h) })
	if err != nil || r.onFallback {
		return ttl, err
	}
	return r.overlap(ctx, h, ttl), nil
}

// onPrimary makes a call to the primary, twice if it is not answered, and then to the
// fallback. Who never registered has nothing to fall back with.
func (r *registration) onPrimary(ctx context.Context, h discovery.Health, call func(context.Context) (time.Duration, error)) (time.Duration, error) {
	start := time.Now()
	ttl, err := r.cfg.attempt(ctx, call)
	if answered(err) || ctx.Err() != nil {
		return ttl, err
	}
	sleep(ctx, r.cfg.retryDelay)
	ttl, err = r.cfg.attempt(ctx, call)
	if answered(err) || ctx.Err() != nil || r.ttl == 0 {
		return ttl, err
	}
	r.onFallback, r.moveAt, r.probeAt = true, time.Time{}, time.Now().Add(r.cfg.probeInterval)
	r.switched(err, time.Since(start))
	return r.toFallback(ctx, h, err)
}

// toFallback renews the entry in the fallback, or makes it.
func (r *registration) toFallback(ctx context.Context, h discovery.Health, cause error) (time.Duration, error) {
	ttl, err := r.fallback.heartbeat(ctx, h)
	if errors.Is(err, discovery.ErrUnknownRegistration) {
		ttl, err = r.fallback.register(ctx, r.shortTTL(), h)
	}
	if err != nil {
		return 0, r.keep(h, errors.Join(cause, err))
	}
	r.awaySince, r.kept = time.Time{}, 0
	return ttl, nil
}

// whileAway is a heartbeat, or a registration, while the primary is away or just back.
func (r *registration) whileAway(ctx context.Context, h discovery.Health) (time.Duration, error) {
	if r.primaryIsDue(ctx) {
		if ttl, err := r.back(ctx, h); err == nil {
			return ttl, nil
		}
	}
	ttl, err := r.toFallback(ctx, h, nil)
	if err == nil || ctx.Err() != nil {
		return ttl, err
	}
	// Neither is known to be there: whichever answers first.
	if ttl, backErr := r.back(ctx, h); backErr == nil {
		return ttl, nil
	}
	return 0, err
}

// primaryIsDue asks the primary whether it is there, when it is time to, and reports
// whether it is time to move back.
func (r *registration) primaryIsDue(ctx context.Context) bool {
	now := time.Now()
	if r.moveAt.IsZero() && !now.Before(r.probeAt) {
		r.probeAt = now.Add(r.cfg.probeInterval)
		_, err := r.cfg.attempt(ctx, func(ctx context.Context) (time.Duration, error) {
			_, err := r.primary.Lookup(ctx)
			return 0, err
		})
		if answered(err) {
			r.moveAt = now.Add(some(r.cfg.reconcileTime))
		}
	}
	return !r.moveAt.IsZero() && !now.Before(r.moveAt)
}

// back registers with the primary again.
func (r *registration) back(ctx context.Context, h discovery.Health) (time.Duration, error) {
	r.moveAt = time.Time{}
	ttl, err := r.cfg.attempt(ctx, func(ctx context.Context) (time.Duration, error) { return r.primary.register(ctx, r.ttl, h) })
	if err != nil {
		r.probeAt = time.Now().Add(r.cfg.probeInterval)
		return 0, err
	}
	r.onFallback, r.awaySince, r.kept = false, time.Time{}, 0
	r.cleanAt = time.Now().Add(r.cfg.overlap())
	r.switched(nil, 0)
	return r.overlap(ctx, h, ttl), nil
}

// overlap keeps the entry in the fallback until those who watch have moved back, too,
// and then takes it out. What fails is tried with the next heartbeat, for as long as the
// entry may live. It returns the time to live that serves both.
func (r *registration) overlap(ctx context.Context, h discovery.Health, ttl time.Duration) time.Duration {
	if !r.fallback.holds() {
		return ttl
	}
	if time.Now().Before(r.cleanAt) {
		_, _ = r.cfg.attempt(ctx, func(ctx context.Context) (time.Duration, error) { return r.fallback.heartbeat(ctx, h) })
		return min(ttl, r.shortTTL())
	}
	_, err := r.cfg.attempt(ctx, func(ctx context.Context) (time.Duration, error) { return 0, r.fallback.deregister(ctx) })
	if r.cfg.observer.CleanedUp != nil {
		r.cfg.observer.CleanedUp(r.key, err)
	}
	return ttl
}

// keep notes a heartbeat that neither registry took.
func (r *registration) keep(h discovery.Health, cause error) error {
	if r.kept == 0 {
		r.awaySince = time.Now()
	}
	r.kept++
	if f := r.cfg.observer.Away; f != nil {
		f(Away{r.key, h, r.awaySince, r.kept, cause})
	}
	return fmt.Errorf("%w since %v, %d heartbeats of %s are kept: %w", ErrAway, time.Since(r.awaySince).Round(time.Millisecond), r.kept, r.key, cause)
}

func (r *registration) switched(err error, took time.Duration) {
	if f := r.cfg.observer.Switched; f != nil {
		f(Switch{r.key.Query(), r.key.ID, r.onFallback, err, took})
	}
}

func (r *registration) shortTTL() time.Duration {
	return max(time.Duration(float64(r.ttl)*r.cfg.fallbackTTL), min(r.ttl, time.Second))
}

// Lookup implements [discovery.Registration].
func (r *registration) Lookup(ctx context.Context) (discovery.Instance, error) {
	if r.onFallback {
		return r.fallback.Lookup(ctx)
	}
	return r.primary.Lookup(ctx)
}

// Deregister implements [discovery.Registration]. It removes the entry from both, where
// there may be one: the primary may still have the one from before it was away.
func (r *registration) Deregister(ctx context.Context) error {
	unknown := !r.primary.holds() && !r.fallback.holds()
	var errs [2]error
	if unknown || r.primary.holds() {
		errs[0] = r.primary.deregister(ctx)
	}
	if unknown || r.fallback.holds() {
		errs[1] = r.fallback.deregister(ctx)
	}
	if unknown {
		// Another process's entry may be in the fallback, and will not last.
		errs[1] = nil
	}
	return errors.Join(errs[:]...)
}

// side is a registration in one of the two registries.
type side struct {
	discovery.Registration
	until time.Time // until when there may be an entry
}

func (s *side) holds() bool { return time.Now().Before(s.until) }

// register notes that there may be an entry also after an error.
func (s *side) register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	s.until = time.Now().Add(ttl)
	granted, err := s.Register(ctx, ttl, h)
	if err == nil {
		s.until = time.Now().Add(granted)
	}
	return granted, err
}

func (s *side) heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	ttl, err := s.Heartbeat(ctx, h)
	if err == nil {
		s.until = time.Now().Add(ttl)
	}
	return ttl, err
}

func (s *side) deregister(ctx context.Context) error {
	err := s.Deregister(ctx)
	if err == nil {
		s.until = time.Time{}
	}
	return err
}

// answered reports whether the registry did, if only to say that it knows nothing.
func answered(err error) bool {
	return err == nil || errors.Is(err, discovery.ErrUnknownRegistration)
}

// attempt makes one call with its time limit, and never takes so much of the caller's
// that there would be none left for what follows.
func (c *config) attempt(ctx context.Context, call func(context.Context) (time.Duration, error)) (time.Duration, error) {
	limit := c.callTimeout
	if d, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(d)/4)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return call(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
