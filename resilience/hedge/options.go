// SPDX-License-Identifier: Apache-2.0

package hedge

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// The defaults.
const (
	DefaultMaxAttempts = 2
	DefaultQuantile    = 0.95
	DefaultMinDelay    = time.Millisecond
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
	delay       time.Duration
	fixed       bool // delay is given
	quantile    float64
	learned     bool // quantile is given
	minDelay    time.Duration
	nonFatal    []resilience.Outcome
	chosen      bool // nonFatal is given
	budget      *retry.Budget
	budgeting   budgeting
	nested      bool
	observer    resilience.Observer
}

func newConfig(name string, opts []Option) (config, error) {
	c := config{
		maxAttempts: DefaultMaxAttempts,
		quantile:    DefaultQuantile,
		minDelay:    DefaultMinDelay,
		nonFatal:    []resilience.Outcome{resilience.OutcomeTransient, resilience.OutcomeOverload},
	}
	for _, o := range opts {
		o.apply(&c)
	}
	if !c.fixed {
		c.learned = true
	}
	return c, c.validate(name)
}

// WithMaxAttempts sets how often a call is sent at most, the first attempt
// included. The default is [DefaultMaxAttempts]; 1 switches hedging off.
func WithMaxAttempts(n int) Option {
	return option(func(c *config) { c.maxAttempts = n })
}

// WithDelay sets how long to wait for an answer before the next attempt is sent.
// Together with [WithQuantile] it is the delay until the quantile is known.
func WithDelay(d time.Duration) Option {
	return option(func(c *config) { c.delay, c.fixed = d, true })
}

// WithQuantile sets the delay to a quantile of the latencies of first attempts, more
// than 0 and less than 1. It is known after [MinObserved] calls, and up to an eighth
// too long; until then calls are not hedged, unless [WithDelay] says after how long.
//
// The default, if there is no WithDelay either, is [DefaultQuantile].
func WithQuantile(q float64) Option {
	return option(func(c *config) { c.quantile, c.learned = q, true })
}

// WithMinDelay sets the shortest delay that [WithQuantile] may come to. The default
// is [DefaultMinDelay].
func WithMinDelay(d time.Duration) Option {
	return option(func(c *config) { c.minDelay = d })
}

// WithNonFatal sets the outcomes of an attempt that do not end the call while another
// attempt may succeed, in place of the default: transient and overload. It takes
// those that [retry.IsRetryable] does. Whatever adapters think worth another attempt
// ([retry.Result].Retryable) no longer counts.
func WithNonFatal(outcomes ...resilience.Outcome) Option {
	return option(func(c *config) { c.nonFatal, c.chosen = outcomes, true })
}

// WithBudget sets the budget that attempts after the first are paid from. It should be
// the one of the policies that retry calls to the same service. The default is a
// budget of the policy's own with [retry.NewBudget]'s defaults.
func WithBudget(b *retry.Budget) Option {
	return option(func(c *config) { c.budget, c.budgeting = b, sharedBudget })
}

// WithoutBudget hedges every call that takes longer than the delay. When a service
// becomes slow, that doubles its load.
func WithoutBudget() Option {
	return option(func(c *config) { c.budget, c.budgeting = nil, noBudget })
}

// WithNestedHedges hedges calls, too, that belong to a request which is being
// retried or hedged further up ([retry.PreviousAttempts]). The default is not to:
// attempts of several hops multiply.
func WithNestedHedges() Option {
	return option(func(c *config) { c.nested = true })
}

// WithObserver sets who is told of each attempt. The default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}

func (c *config) validate(name string) error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("hedge %q: %s %v: must %s", name, field, value, rule))
		}
	}
	check(name != "", "name", `""`, "not be empty: it is that of the downstream service")
	check(c.maxAttempts >= 1 && c.maxAttempts <= maxAttempts, "max attempts", c.maxAttempts, fmt.Sprintf("be from 1, which is the first attempt, to %d", maxAttempts))
	check(!c.fixed || c.delay > 0, "delay", c.delay, "be positive: without one, every call is sent twice")
	check(!c.learned || c.quantile > 0 && c.quantile < 1, "quantile", c.quantile, "be more than 0 and less than 1")
	check(c.minDelay >= 0, "min delay", c.minDelay, "not be negative")
	check(c.budgeting != sharedBudget || c.budget != nil, "budget", "nil", "not be nil: WithoutBudget says that there is none")
	for _, o := range c.nonFatal {
		check(retry.IsRetryable(o), "non-fatal", o, "be server_fault, transient, overload, timeout or rejected: no other changes when the call is made again")
	}
	return errors.Join(errs...)
}

// maxAttempts is as many as gRFC A6 allows.
const maxAttempts = 5
