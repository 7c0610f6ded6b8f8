// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"strconv"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
	"github.com/fairlead-go/fairlead/resilience/internal/slots"
)

// Concurrency bounds how many calls a server handles at once. Use
// [NewConcurrency]; the zero Concurrency is invalid. It is safe for concurrent use
// and needs no closing.
type Concurrency struct {
	name  string
	cfg   concurrencyConfig
	slots *slots.Slots
}

// NewConcurrency returns a limiter that lets max calls be under way at once, at
// least 1. name appears in labels, events and errors.
func NewConcurrency(name string, max int, opts ...ConcurrencyOption) (*Concurrency, error) {
	cfg := concurrencyConfig{retryAfter: DefaultRetryAfter}
	for _, o := range opts {
		o.applyConcurrency(&cfg)
	}
	var c checks
	c.want(name != "", "name", `""`, "not be empty")
	c.want(max >= 1, "max", max, "be at least 1")
	c.want(cfg.queue >= 0, "queue", cfg.queue, "not be negative")
	c.want(cfg.queue <= 0 || cfg.wait > 0, "queue wait", cfg.wait, "be positive")
	c.want(cfg.retryAfter >= 0, "retry-after", cfg.retryAfter, "not be negative")
	if err := c.err(); err != nil {
		return nil, err
	}
	return &Concurrency{name: name, cfg: cfg, slots: slots.New(max, cfg.queue)}, nil
}

// Name returns the limiter's name.
func (l *Concurrency) Name() string { return l.name }

// Permit is the permission to handle one call. [Permit.Done] is to be called when
// the call has ended. The zero Permit is one that nobody waits for.
type Permit struct{ slot slots.Permit }

// Done gives the permit back. Only the first call on the same variable does, from
// whatever goroutine; a copy is not another permit.
func (p *Permit) Done() { p.slot.Done() }

// Allow takes a slot, and waits for it in the queue if there is one and all are
// taken. A refusal is a [*resilience.RejectedError] that matches
// resilience.ErrOverloaded. If ctx ends while the call waits, the error matches
// ctx.Err() and its cause, and is no refusal.
func (l *Concurrency) Allow(ctx context.Context) (Permit, error) {
	slot, verdict := l.slots.Acquire(ctx, l.cfg.wait)
	switch verdict {
	case slots.Granted:
		return Permit{slot}, nil
	case slots.Ended:
		return Permit{}, ended.Waiting(ctx, "concurrency limit "+strconv.Quote(l.name))
	case slots.Expired:
		return Permit{}, l.reject(ctx, "no slot in time")
	default:
		return Permit{}, l.reject(ctx, "too many calls at once")
	}
}

// ConcurrencySnapshot is what a limiter knows at one moment, for metrics and debug
// pages.
type ConcurrencySnapshot struct {
	Name string
	// InFlight calls have a slot, of Max.
	InFlight, Max int
	// Queued calls wait for one, of MaxQueue that may.
	Queued, MaxQueue int
}

// Snapshot returns the present numbers.
func (l *Concurrency) Snapshot() ConcurrencySnapshot {
	inFlight, queued := l.slots.Usage()
	return ConcurrencySnapshot{Name: l.name, InFlight: inFlight, Max: l.slots.Max(), Queued: queued, MaxQueue: l.slots.MaxQueue()}
}

func (l *Concurrency) reject(ctx context.Context, reason string) error {
	return reject(ctx, l.cfg.observer, resilience.RejectedError{
		Policy: resilience.PolicyConcurrency, Name: l.name, Reason: reason, RetryAfter: l.cfg.retryAfter,
	})
}
