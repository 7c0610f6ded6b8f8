// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
)

// Policy says when calls to one downstream service are made again. Its zero value
// is not usable: use [New]. It is safe for concurrent use and lives as long as the
// client it belongs to; nothing has to be closed.
type Policy struct {
	name        string
	maxAttempts int
	perTry      time.Duration
	perTryBound ctxutil.Budget
	overall     time.Duration
	backoff     backoff
	jitter      func(time.Duration) time.Duration // from 0 to its argument
	maxPushback time.Duration
	retryOn     [resilience.OutcomeRejected + 1]bool
	chosen      bool    // retryOn is the user's, and the adapter has no say
	budget      *Budget // nil: none
	nested      bool
	fixed       bool         // estimate is not learned
	estimate    atomic.Int64 // nanoseconds
	observer    resilience.Observer
}

// New returns the policy for a downstream service of that name. It fails on an
// option whose value makes no sense, with an error that names field, value and
// rule; several such errors are joined.
func New(name string, opts ...Option) (*Policy, error) {
	c, err := newConfig(name, opts)
	if err != nil {
		return nil, err
	}
	p := &Policy{
		name:        name,
		maxAttempts: c.maxAttempts,
		perTry:      c.perTry,
		overall:     c.overall,
		backoff:     c.backoff,
		jitter:      fullJitter,
		maxPushback: c.maxPushback,
		budget:      c.budget,
		chosen:      c.chosen,
		nested:      c.nested,
		fixed:       c.fixed,
		observer:    c.observer,
	}
	p.estimate.Store(int64(c.estimate))
	for _, o := range c.retryOn {
		p.retryOn[o] = true
	}
	if p.perTryBound, err = noLongerThan(p.perTry); err != nil {
		return nil, err
	}
	if c.budgeting == ownBudget {
		if p.budget, err = NewBudget(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// noLongerThan returns the bound of a call that may take d; of any call if d is 0.
func noLongerThan(d time.Duration) (ctxutil.Budget, error) {
	return ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(d))
}

// Name returns the name given to [New].
func (p *Policy) Name() string { return p.name }

// MaxAttempts returns how often a call is sent at most.
func (p *Policy) MaxAttempts() int { return p.maxAttempts }

// Budget returns the budget that retries are paid from; nil if there is none.
func (p *Policy) Budget() *Budget { return p.budget }

// Do makes a call that is over when f returns, as often as it takes and the policy
// allows. Each attempt is one call of f, on the caller's goroutine, with a context
// that ends when f returns if there is a time limit for attempts; the limit is the
// context's deadline, so that the server learns of it. A panic of f passes through.
//
// If ctx ends during a backoff, Do returns at once with an error that wraps its
// cause.
func (p *Policy) Do(ctx context.Context, f func(context.Context, Attempt) Result) Summary {
	r := p.Start(ctx)
	for {
		wait, again, _ := r.Next(r.call(f))
		if !again || r.Wait(wait) != nil {
			return r.Summary()
		}
	}
}

// Open makes a call whose answer is read after f has returned, as often as it takes
// and the policy allows. It differs from [Policy.Do] in the time limit of an
// attempt: that covers the time until f returns, or until it calls
// [Attempt.Answered], and not the answer. It is not a deadline of the context, so
// the server does not learn of it.
//
// The context of the last attempt lives on until release is called, which the
// caller must do when the answer has been read. It is never nil, and may be called
// more than once.
func (p *Policy) Open(ctx context.Context, f func(context.Context, Attempt) Result) (s Summary, release func()) {
	r := p.Start(ctx)
	for {
		res, limit := r.open(f)
		wait, again, _ := r.Next(res)
		if !again {
			return r.Summary(), releaseOf(limit)
		}
		limit.End()
		if r.Wait(wait) != nil {
			return r.Summary(), doNothing
		}
	}
}

// call makes one attempt that is over when f returns.
func (r *Run) call(f func(context.Context, Attempt) Result) Result {
	ctx, limit := r.begin(true)
	defer limit.End()
	return f(ctx, r.attempt(limit))
}

// open makes one attempt whose context lives on, unless f panics.
func (r *Run) open(f func(context.Context, Attempt) Result) (Result, *Limit) {
	ctx, limit := r.begin(false)
	returned := false
	defer func() {
		if !returned {
			limit.End()
		}
	}()
	res := f(ctx, r.attempt(limit))
	limit.Lift()
	returned = true
	return res, limit
}

func releaseOf(l *Limit) func() {
	if l == nil {
		return doNothing
	}
	return l.End
}

func doNothing() {}
