// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// The defaults.
const (
	DefaultMaxAttempts = 3
	DefaultBackoffBase = 50 * time.Millisecond
	DefaultBackoffMax  = time.Second
	DefaultMaxPushback = 30 * time.Second
)

// Option changes a [Policy] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// budgeting says where a policy's budget comes from.
type budgeting uint8

const (
	ownBudget budgeting = iota
	sharedBudget
	noBudget
)

type config struct {
	maxAttempts int
	perTry      time.Duration // 0: none
	overall     time.Duration // 0: none
	backoff     backoff
	maxPushback time.Duration
	retryOn     []resilience.Outcome
	chosen      bool // retryOn is given
	budget      *Budget
	budgeting   budgeting
	nested      bool
	estimate    time.Duration // fixed estimate
	fixed       bool          // estimate is given, not learned
	observer    resilience.Observer
}

func newConfig(name string, opts []Option) (config, error) {
	c := config{
		maxAttempts: DefaultMaxAttempts,
		backoff:     backoff{base: DefaultBackoffBase, max: DefaultBackoffMax},
		maxPushback: DefaultMaxPushback,
		retryOn:     []resilience.Outcome{resilience.OutcomeTransient, resilience.OutcomeOverload},
	}
	for _, o := range opts {
		o.apply(&c)
	}
	return c, c.validate(name)
}

// WithMaxAttempts sets how often a call is sent at most, the first attempt
// included. The default is [DefaultMaxAttempts]; 1 switches retries off.
func WithMaxAttempts(n int) Option {
	return option(func(c *config) { c.maxAttempts = n })
}

// WithPerTryTimeout sets how long one attempt may take. When it passes, the
// attempt's context ends with the cause [ctxutil.ErrTimeout], and the attempt
// counts as [resilience.OutcomeTimeout]. That is retried only if [WithRetryOn]
// names it, or the adapter knows that the call may be repeated: the server may have
// done what it was asked.
//
// The default, and 0, is no limit but the caller's deadline and
// [WithOverallTimeout].
func WithPerTryTimeout(d time.Duration) Option {
	return option(func(c *config) { c.perTry = d })
}

// WithOverallTimeout sets how long all attempts and the waits between them may
// take together. No attempt begins after that, and one that is under way ends
// as by [WithPerTryTimeout], which must be shorter. The default, and 0, is no
// limit but the caller's deadline.
func WithOverallTimeout(d time.Duration) Option {
	return option(func(c *config) { c.overall = d })
}

// WithBackoff sets how long to wait before another attempt: a random time from 0
// to base before the second, to twice that before the third and so on, but to
// longest at most ("full jitter"). The default is [DefaultBackoffBase] and
// [DefaultBackoffMax]. A base of 0 is an error: clients that retry at once and
// together keep down what has just come up.
func WithBackoff(base, longest time.Duration) Option {
	return option(func(c *config) { c.backoff = backoff{base: base, max: longest} })
}

// WithMaxPushback sets how long a wait the server may ask for. If it asks for
// more, the call is not retried: sooner is not allowed, later is of no use. The
// default is [DefaultMaxPushback]; 0 obeys no wait at all, so that any ends the call.
func WithMaxPushback(d time.Duration) Option {
	return option(func(c *config) { c.maxPushback = d })
}

// WithRetryOn sets the outcomes that are worth another attempt, in place of the
// default: transient and overload. Outcomes that the next attempt cannot change,
// or that nobody waits for, are refused: ok, client_fault, canceled and
// caller_deadline. Whatever adapters think worth it ([Result].Retryable) no longer
// counts.
func WithRetryOn(outcomes ...resilience.Outcome) Option {
	return option(func(c *config) { c.retryOn, c.chosen = outcomes, true })
}

// WithBudget sets the budget that retries are paid from, to share it among the
// policies of one downstream service. The default is a budget of the policy's
// own with [NewBudget]'s defaults.
func WithBudget(b *Budget) Option {
	return option(func(c *config) { c.budget, c.budgeting = b, sharedBudget })
}

// WithoutBudget lets every call be retried as often as its attempts allow. In an
// outage that multiplies the load.
func WithoutBudget() Option {
	return option(func(c *config) { c.budget, c.budgeting = nil, noBudget })
}

// WithNestedRetries retries calls, too, that belong to a request which is being
// retried further up ([PreviousAttempts]). The default is not to: attempts of
// several hops multiply.
func WithNestedRetries() Option {
	return option(func(c *config) { c.nested = true })
}

// WithAttemptEstimate sets how much time an attempt needs: another is made only
// if the wait and this fit before the deadline. The default is the moving average
// of the attempts that succeeded; 0 needs no time.
func WithAttemptEstimate(d time.Duration) Option {
	return option(func(c *config) { c.estimate, c.fixed = d, true })
}

// WithObserver sets who is told of each attempt. The default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}

func (c *config) validate(name string) error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("retry %q: %s %v: must %s", name, field, value, rule))
		}
	}
	check(name != "", "name", `""`, "not be empty: it is that of the downstream service")
	check(c.maxAttempts >= 1, "max attempts", c.maxAttempts, "be at least 1, which is the first attempt")
	check(c.perTry >= 0, "per-try timeout", c.perTry, "not be negative")
	check(c.overall >= 0, "overall timeout", c.overall, "not be negative")
	check(c.overall <= 0 || c.perTry < c.overall, "per-try timeout", c.perTry, fmt.Sprintf("be shorter than the overall timeout, %v", c.overall))
	if c.maxAttempts > 1 {
		check(c.backoff.base > 0, "backoff base", c.backoff.base, "be positive: attempts need a backoff")
		check(c.backoff.max >= c.backoff.base, "backoff max", c.backoff.max, fmt.Sprintf("be at least the base, %v", c.backoff.base))
	}
	check(c.maxPushback >= 0, "max pushback", c.maxPushback, "not be negative")
	check(c.estimate >= 0, "attempt estimate", c.estimate, "not be negative")
	check(c.budgeting != sharedBudget || c.budget != nil, "budget", "nil", "not be nil: WithoutBudget says that there is none")
	check(len(c.retryOn) > 0, "retry on", c.retryOn, "name an outcome: to switch retries off set max attempts to 1")
	for _, o := range c.retryOn {
		check(IsRetryable(o), "retry on", o, "be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again")
	}
	return errors.Join(errs...)
}

// IsRetryable reports whether o can be one of [WithRetryOn]'s outcomes: whether it is
// a failure that may be another when the call is made again.
func IsRetryable(o resilience.Outcome) bool {
	switch o {
	case resilience.OutcomeServerFault, resilience.OutcomeTransient, resilience.OutcomeOverload,
		resilience.OutcomeTimeout, resilience.OutcomeRejected:
		return true
	default:
		return false
	}
}
