// SPDX-License-Identifier: Apache-2.0

package bulkhead

import (
	"context"
	"strconv"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
	"github.com/fairlead-go/fairlead/resilience/internal/slots"
)

// Bulkhead bounds the calls in flight to one downstream service. Use [New]; the
// zero Bulkhead is invalid. It is safe for concurrent use and needs no closing.
type Bulkhead struct {
	name  string
	cfg   config
	slots *slots.Slots
}

// New returns a bulkhead for the downstream service name that lets max calls be in
// flight at once, at least 1.
func New(name string, max int, opts ...Option) (*Bulkhead, error) {
	cfg, err := newConfig(name, max, opts)
	if err != nil {
		return nil, err
	}
	return &Bulkhead{name: name, cfg: cfg, slots: slots.New(max, cfg.queue)}, nil
}

// Name returns the name of the downstream service.
func (b *Bulkhead) Name() string { return b.name }

// Permit is the permission to make one call. [Permit.Done] is to be called when
// the call has ended. The zero Permit is one that nobody waits for.
type Permit struct{ slot slots.Permit }

// Done gives the permit back. Only the first call on the same variable does, from
// whatever goroutine; a copy is not another permit.
func (p *Permit) Done() { p.slot.Done() }

// Allow asks for a slot, and waits for it in the queue if there is one and all are
// taken. A refusal is a [*resilience.RejectedError] that matches
// resilience.ErrOverloaded. If ctx ends while the call waits, the error matches
// ctx.Err() and its cause, and is no refusal.
func (b *Bulkhead) Allow(ctx context.Context) (Permit, error) {
	slot, verdict := b.slots.Acquire(ctx, b.cfg.wait)
	switch verdict {
	case slots.Granted:
		return Permit{slot}, nil
	case slots.Ended:
		return Permit{}, ended.Waiting(ctx, "bulkhead "+strconv.Quote(b.name))
	case slots.Expired:
		return Permit{}, b.reject(ctx, "no slot in time")
	default:
		return Permit{}, b.reject(ctx, "full")
	}
}

// Do calls f in a slot, and gives that back however f ends.
func (b *Bulkhead) Do(ctx context.Context, f func(context.Context) error) error {
	permit, err := b.Allow(ctx)
	if err != nil {
		return err
	}
	defer permit.Done()
	return f(ctx)
}

// Snapshot is what a bulkhead knows at one moment, for metrics and debug pages.
type Snapshot struct {
	Name string
	// InFlight calls have a slot, of Max.
	InFlight, Max int
	// Queued calls wait for one, of MaxQueue that may.
	Queued, MaxQueue int
}

// Snapshot returns the present numbers.
func (b *Bulkhead) Snapshot() Snapshot {
	inFlight, queued := b.slots.Usage()
	return Snapshot{Name: b.name, InFlight: inFlight, Max: b.slots.Max(), Queued: queued, MaxQueue: b.slots.MaxQueue()}
}

func (b *Bulkhead) reject(ctx context.Context, reason string) error {
	e := &resilience.RejectedError{Policy: resilience.PolicyBulkhead, Name: b.name, Reason: reason}
	if b.cfg.observer.Rejected != nil {
		b.cfg.observer.Rejected(ctx, e)
	}
	return e
}
