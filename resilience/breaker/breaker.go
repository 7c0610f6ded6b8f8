// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
)

// Breaker stops calls to one downstream service while it fails. Use [New] or a
// [Registry]; the zero Breaker is invalid. It is safe for concurrent use and
// needs no closing.
type Breaker struct {
	name string
	cfg  config

	// mu guards all below, and every call of gb: gobreaker's callbacks run under
	// it and only make notes. Nothing of the user's does, but for Done and Deadline
	// of a probe's context.
	mu     sync.Mutex
	gb     *gobreaker.TwoStepCircuitBreaker[struct{}]
	slow   slowWindow
	state  resilience.State
	forced bool
	// epoch is the number of the present state. A call admitted in another one
	// says nothing about it.
	epoch     uint64
	since     time.Time
	openUntil time.Time
	// retryAt is the latest time that a failed call of this closed state was told
	// to wait for.
	retryAt time.Time
	probes  []*probe
	trips   uint64
	last    *resilience.StateChange // the last trip, if there was one; never written to

	// Notes of gobreaker's callbacks.
	gbState  gobreaker.State
	gbCounts gobreaker.Counts
	tripSlow bool
}

// New returns a closed breaker for the downstream service name, as it shall
// appear in labels, events and errors. It fails on values that make no sense.
func New(name string, opts ...Option) (*Breaker, error) {
	if name == "" {
		return nil, errNoName
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	return newBreaker(name, cfg), nil
}

var errNoName = errors.New(`breaker: name "": must not be empty`)

func newBreaker(name string, cfg config) *Breaker {
	b := &Breaker{name: name, cfg: cfg}
	b.renew(resilience.StateClosed)
	return b
}

// Name returns the name of the downstream service.
func (b *Breaker) Name() string { return b.name }

// Do calls f if the breaker allows it and reports how it ended, by the classifier
// of [WithClassifier]. A refusal is a [*resilience.RejectedError]. If f panics or
// calls runtime.Goexit, the call does not count: that is this process's doing.
func (b *Breaker) Do(ctx context.Context, f func(context.Context) error) error {
	lease, err := b.Allow(ctx)
	if err != nil {
		return err
	}
	defer lease.Release()
	start := now()
	err = f(ctx)
	took := now() - start
	if refused, ok := errors.AsType[*resilience.RejectedError](err); ok && refused.Remote {
		lease.Answered(ctx)
	} else {
		lease.Done(ctx, b.cfg.classify(ctx, err), took, 0)
	}
	return err
}

// origin is where now counts from. Its value does not matter.
var origin = time.Now()

// now reads the monotonic clock alone, at half the price of time.Now.
func now() time.Duration { return time.Since(origin) }

// Allow asks whether a call may be sent. If so, its [Lease] is to be reported or
// released exactly once; what is never reported blocks a probe's place until ctx
// has ended or the lease has.
//
// If not, the error is a [*resilience.RejectedError] that matches
// gobreaker.ErrOpenState. Its RetryAfter is how long the breaker will be open, and
// 0 if it is forced open, or half-open with all its probes under way; in that case
// it matches gobreaker.ErrTooManyRequests as well.
func (b *Breaker) Allow(ctx context.Context) (Lease, error) {
	lease, change, refused := b.admit(ctx)
	b.changed(ctx, change)
	if refused != nil {
		return Lease{}, b.reject(ctx, refused)
	}
	return lease, nil
}

// State returns the present state. It is half-open from the moment the open time
// is over, whether or not there was a call since.
func (b *Breaker) State() resilience.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stateAt(time.Now())
}

// stateAt requires mu.
func (b *Breaker) stateAt(now time.Time) resilience.State {
	if b.state == resilience.StateOpen && !b.forced && !now.Before(b.openUntil) {
		return resilience.StateHalfOpen
	}
	return b.state
}

// The reasons of refusals. They may reach peers.
const (
	reasonOpen     = "open"
	reasonForced   = "forced open"
	reasonHalfOpen = "half-open, probes under way"
)

// admit decides on a call. It defers the unlocking, and changes nothing before it
// knows the context: one that panics must not take a lock or a place with it.
func (b *Breaker) admit(ctx context.Context) (Lease, *resilience.StateChange, *resilience.RejectedError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.forced {
		if b.state == resilience.StateOpen {
			return Lease{}, nil, &resilience.RejectedError{Reason: reasonForced}
		}
		return Lease{}, nil, nil
	}
	if b.state == resilience.StateClosed {
		return Lease{breaker: b, epoch: b.epoch}, nil, nil
	}

	now := time.Now()
	if b.stateAt(now) == resilience.StateOpen {
		return Lease{}, nil, &resilience.RejectedError{Reason: reasonOpen, RetryAfter: b.openUntil.Sub(now)}
	}
	p := newProbe(ctx, now.Add(b.cfg.lease))
	var err error
	p.done, err = b.gb.Allow()
	if errors.Is(err, gobreaker.ErrTooManyRequests) && b.reclaim(now) {
		p.done, err = b.gb.Allow()
	}
	if err != nil {
		return Lease{}, nil, refusal(err)
	}
	var change *resilience.StateChange
	if b.state == resilience.StateOpen {
		change = b.move(resilience.StateHalfOpen, "open time over")
	}
	b.probes = append(b.probes, p)
	return Lease{breaker: b, epoch: b.epoch, probe: p}, change, nil
}

// refusal returns the refusal for one of gobreaker's: half-open with all probes
// under way or, should its clock reading not be later than the trip, still open.
func refusal(err error) *resilience.RejectedError {
	reason := reasonOpen
	if errors.Is(err, gobreaker.ErrTooManyRequests) {
		reason = reasonHalfOpen
	}
	return &resilience.RejectedError{Reason: reason, Err: err}
}

// reject completes a refusal and tells of it.
func (b *Breaker) reject(ctx context.Context, e *resilience.RejectedError) error {
	e.Policy, e.Name = resilience.PolicyBreaker, b.name
	if b.cfg.observer.Rejected != nil {
		b.cfg.observer.Rejected(ctx, e)
	}
	return e
}

// changed names the trace of the call that made the difference, if one did, and
// tells of it.
func (b *Breaker) changed(ctx context.Context, change *resilience.StateChange) {
	if change == nil {
		return
	}
	named := *change
	named.TraceID = ctxutil.TraceID(ctx)
	b.mu.Lock()
	if b.last == change {
		b.last = &named
	}
	b.mu.Unlock()
	if b.cfg.observer.StateChanged != nil {
		b.cfg.observer.StateChanged(ctx, named)
	}
}
