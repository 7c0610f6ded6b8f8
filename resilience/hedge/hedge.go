// SPDX-License-Identifier: Apache-2.0

package hedge

import (
	"context"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// The reasons of this package, besides those of package retry.
const (
	// ReasonLost: the attempt was canceled because another one's answer was taken.
	ReasonLost = "another attempt answered first"
	// ReasonOverloaded: the server has too much to do to be sent another attempt.
	ReasonOverloaded = "server overloaded"
)

// Policy says when calls to one downstream service are sent again because they take
// long. Its zero value is not usable: use [New]. It is safe for concurrent use and
// lives as long as the client it belongs to; nothing has to be closed.
type Policy struct {
	name        string
	maxAttempts int
	delay       time.Duration // 0: none until latencies are known
	minDelay    time.Duration
	latencies   *latencies // nil: the delay is fixed
	nonFatal    [resilience.OutcomeRejected + 1]bool
	chosen      bool          // nonFatal is the user's, and the adapter has no say
	budget      *retry.Budget // nil: none
	nested      bool
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
		delay:       c.delay,
		minDelay:    c.minDelay,
		budget:      c.budget,
		chosen:      c.chosen,
		nested:      c.nested,
		observer:    c.observer,
	}
	if c.learned {
		p.latencies = &latencies{quantile: c.quantile}
	}
	for _, o := range c.nonFatal {
		p.nonFatal[o] = true
	}
	if c.budgeting == ownBudget {
		if p.budget, err = retry.NewBudget(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Name returns the name given to [New].
func (p *Policy) Name() string { return p.name }

// MaxAttempts returns how often a call is sent at most.
func (p *Policy) MaxAttempts() int { return p.maxAttempts }

// Budget returns the budget that hedges are paid from; nil if there is none.
func (p *Policy) Budget() *retry.Budget { return p.budget }

// Delay returns after how long a call that begins now would be hedged, and false if
// that is not known yet.
func (p *Policy) Delay() (time.Duration, bool) {
	if p.latencies != nil {
		if d := p.latencies.estimate(); d > 0 {
			return max(d, p.minDelay), true
		}
	}
	return p.delay, p.delay > 0
}

// Do makes a call that is over when f returns, and returns the value and the result
// of the attempt whose answer was taken. f is called once for each attempt, with a
// context of its own: by goroutines of their own if the call may be hedged. It must
// be safe for that and must return when its context ends.
//
// The attempts not taken are canceled with the cause [ctxutil.ErrHedgeLost], and Do
// waits for them to return. A panic of one goes on in the caller's goroutine, as a
// [*PanicError] if it was hedged; so does runtime.Goexit.
//
// discard, unless it is nil, is called on the caller's goroutine with each value that
// f returned and Do does not return, those of failed attempts included.
func Do[T any](ctx context.Context, p *Policy, f func(context.Context, retry.Attempt) (T, retry.Result), discard func(T)) (T, retry.Summary) {
	value, summary, release := Open(ctx, p, f, discard)
	release()
	return value, summary
}

// Open makes a call whose answer is read after f has returned, such as an HTTP
// response. It differs from [Do] in that the context of the attempt whose answer was
// taken lives on until release is called, which the caller must do when the answer
// has been read. It is never nil, and may be called more than once.
func Open[T any](ctx context.Context, p *Policy, f func(context.Context, retry.Attempt) (T, retry.Result), discard func(T)) (value T, summary retry.Summary, release func()) {
	if p.budget != nil {
		p.budget.Deposit()
	}
	delay, known := p.Delay()
	if !known || p.maxAttempts == 1 || !p.nested && retry.PreviousAttempts(ctx) > 0 {
		value, summary = once(ctx, p, f)
		return value, summary, doNothing
	}
	r := &race[T]{
		policy:  p,
		ctx:     ctx,
		f:       f,
		discard: discard,
		reports: make(chan report[T], p.maxAttempts),
		delay:   delay,
	}
	return r.run()
}

// once makes a call that is not hedged, on the caller's goroutine.
func once[T any](ctx context.Context, p *Policy, f func(context.Context, retry.Attempt) (T, retry.Result)) (T, retry.Summary) {
	began := time.Now()
	value, res := f(retry.WithAttempt(ctx, 1), retry.Attempt{Number: 1, Max: p.maxAttempts})
	p.learn(res.Outcome, time.Since(began))
	summary := retry.Summary{Result: res, Attempts: 1}
	if res.Outcome != resilience.OutcomeOK {
		summary.Reason = retry.ReasonNotRetryable // not by a policy that does not hedge it
	}
	p.observe(ctx, resilience.Attempt{Number: 1, Outcome: res.Outcome, Err: res.Err, Reason: summary.Reason})
	return value, summary
}

// learn counts the latency of a first attempt, if its end says something about it:
// one that ran out of time would have taken longer, which is as good for a quantile
// below. Failures are often fast, and would have calls hedged that are not late.
func (p *Policy) learn(o resilience.Outcome, took time.Duration) {
	if p.latencies == nil {
		return
	}
	switch o {
	case resilience.OutcomeOK, resilience.OutcomeTimeout, resilience.OutcomeCallerDeadline:
		p.latencies.observe(took)
	}
}

// goesOn reports whether a call with a failed attempt may still succeed by another.
func (p *Policy) goesOn(res retry.Result) bool {
	if res.Retryable && !p.chosen {
		return retry.IsRetryable(res.Outcome)
	}
	return int(res.Outcome) < len(p.nonFatal) && p.nonFatal[res.Outcome]
}

func (p *Policy) observe(ctx context.Context, a resilience.Attempt) {
	if p.observer.Attempted == nil {
		return
	}
	a.Policy, a.Name, a.Max = resilience.PolicyHedge, p.name, p.maxAttempts
	a.Budget = -1
	if p.budget != nil {
		a.Budget = p.budget.Remaining()
	}
	p.observer.Attempted(ctx, a)
}

func doNothing() {}
