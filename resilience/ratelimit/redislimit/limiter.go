// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// Limiter bounds the rate of calls for each key, across processes. Use [New]; the
// zero Limiter is invalid. It is safe for concurrent use and needs no closing.
type Limiter struct {
	name   string
	cfg    config
	client redis.Scripter
	window window

	// mu guards all below. Nothing of the user's runs under it, and nobody waits for
	// Redis with it.
	mu      sync.Mutex
	keys    keys
	away    away
	counts  Counts
	lastErr error
}

// New returns a limiter that admits limit calls in any 60 s for each key, at least
// 1, counted with the Redis of client: a *redis.Client, *redis.ClusterClient or
// *redis.Ring with ContextTimeoutEnabled, such as from [NewClient], or anything else
// that obeys its context. Redis need not be there.
//
// name appears in labels, events, errors and the hash that names keys in Redis;
// processes share the count of limiters of the same name. New fails on values that
// make no sense, and panics if client is nil.
func New(name string, client redis.Scripter, limit int, opts ...Option) (*Limiter, error) {
	if client == nil {
		panic("redislimit: New: nil client")
	}
	if name == "" {
		return nil, errNoName
	}
	cfg, err := newConfig(limit, opts)
	if err := errors.Join(err, checkClient(client)); err != nil {
		return nil, err
	}
	l := &Limiter{name: name, cfg: cfg, client: client, window: newWindow(&cfg, limit)}
	l.keys = newKeys(l)
	l.away = newAway(client)
	return l, nil
}

var errNoName = errors.New(`redislimit: name "": must not be empty`)

// Name returns the limiter's name.
func (l *Limiter) Name() string { return l.name }

// The reasons of refusals. They may reach peers.
const (
	reasonBurst = "burst limited"
	reasonRate  = "rate limited"
)

// Allow takes a permit for a call of key, or refuses with a
// [*resilience.RejectedError] that matches resilience.ErrRateLimited and says when
// there will be one. It waits for Redis, up to the timeout of [WithTimeout], whether
// or not ctx ends meanwhile; it returns no other error.
func (l *Limiter) Allow(ctx context.Context, key ratelimit.Key) error {
	now := time.Now()
	l.mu.Lock()
	e := l.keys.of(key)
	decided, refusal := l.local(e, now)
	due, news := l.away.due(now, l.cfg.recheck), l.away.news()
	l.mu.Unlock()

	for _, partition := range due {
		go l.look(partition)
	}
	l.tell(ctx, news)
	if !decided {
		refusal = l.ask(ctx, e, now)
	}
	if refusal.reason == "" {
		return nil
	}
	return l.reject(ctx, refusal)
}

// refusal is why there is no permit, and for how long; no reason is none.
type refusal struct {
	reason     string
	retryAfter time.Duration
}

// local decides on a call if Redis need not be asked for that. It requires mu.
func (l *Limiter) local(e *entry, now time.Time) (decided bool, _ refusal) {
	if wait := e.closedUntil.Sub(now); wait > 0 {
		l.counts.RefusedShared++
		return true, refusal{reasonRate, wait}
	}
	if !e.bucket.AllowN(now, 1) {
		l.counts.RefusedLocal++
		return true, refusal{reasonBurst, untilToken(e.bucket, now)}
	}
	if e.permits > 0 && now.Before(e.permitsUntil) {
		e.permits--
		l.counts.Admitted++
		return true, refusal{}
	}
	if l.away.is(e.partition) {
		l.counts.AdmittedAway++
		return true, refusal{}
	}
	return false, refusal{}
}

// ask asks Redis. The caller's end is not waited for less, nor counted as Redis's
// fault: otherwise whoever calls with short deadlines could make it seem away.
func (l *Limiter) ask(ctx context.Context, e *entry, now time.Time) refusal {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.cfg.timeout)
	granted, wait, err := l.window.take(asking, l.client, e.location.key, l.cfg.batch)
	cancel()

	l.mu.Lock()
	l.counts.Asked++
	var r refusal
	switch {
	case err != nil:
		l.counts.Failed++
		l.counts.AdmittedAway++
		l.lastErr = err
		l.away.failed(e.partition, err, time.Now(), l.cfg.recheck)
	case granted == 0:
		l.away.answered(e.partition)
		l.counts.RefusedShared++
		e.closedUntil = time.Now().Add(wait)
		r = refusal{reasonRate, wait}
	default:
		l.away.answered(e.partition)
		l.counts.Admitted++
		e.keep(granted-1, now, now.Add(l.cfg.batchHold))
	}
	news := l.away.news()
	l.mu.Unlock()
	l.tell(ctx, news)
	return r
}

// look looks whether Redis is back, in a partition where it is away.
func (l *Limiter) look(partition int) {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.timeout)
	defer cancel()
	err := l.window.probe(ctx, l.client, partition)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Asked++
	if err != nil {
		l.counts.Failed++
		l.lastErr = err
		return
	}
	l.away.answered(partition)
}

// reject tells of a refusal and returns it.
func (l *Limiter) reject(ctx context.Context, r refusal) error {
	e := &resilience.RejectedError{Policy: resilience.PolicyRateLimit, Name: l.name, Reason: r.reason, RetryAfter: r.retryAfter}
	if l.cfg.observer.Rejected != nil {
		l.cfg.observer.Rejected(ctx, e)
	}
	return e
}

// tell tells that Redis is away or back.
func (l *Limiter) tell(ctx context.Context, news *resilience.Degradation) {
	if news == nil || l.cfg.observer.Degraded == nil {
		return
	}
	news.Policy, news.Name = resilience.PolicyRateLimit, l.name
	l.cfg.observer.Degraded(ctx, *news)
}
