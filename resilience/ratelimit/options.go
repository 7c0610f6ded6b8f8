// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
)

// The defaults.
const (
	// DefaultMaxWait bounds [Limiter.Wait].
	DefaultMaxWait = time.Second
	// DefaultRetryAfter is what a [Concurrency] limiter that refuses asks for.
	DefaultRetryAfter = 100 * time.Millisecond
	// DefaultMaxKeys bounds the memory of a [Keyed] limiter, to some megabytes.
	DefaultMaxKeys = 10_000
)

// Option changes a limiter of any kind under construction.
type Option interface {
	LimiterOption
	ConcurrencyOption
	KeyedOption
}

// LimiterOption changes a [Limiter] under construction.
type LimiterOption interface{ applyLimiter(*limiterConfig) }

// ConcurrencyOption changes a [Concurrency] limiter under construction.
type ConcurrencyOption interface{ applyConcurrency(*concurrencyConfig) }

// KeyedOption changes a [Keyed] limiter under construction.
type KeyedOption interface{ applyKeyed(*keyedConfig) }

type (
	limiterOption     func(*limiterConfig)
	concurrencyOption func(*concurrencyConfig)
	keyedOption       func(*keyedConfig)
	observerOption    resilience.Observer
)

func (o limiterOption) applyLimiter(c *limiterConfig) { o(c) }

func (o concurrencyOption) applyConcurrency(c *concurrencyConfig) { o(c) }

func (o keyedOption) applyKeyed(c *keyedConfig) { o(c) }

func (o observerOption) applyLimiter(c *limiterConfig) { c.observer = resilience.Observer(o) }

func (o observerOption) applyConcurrency(c *concurrencyConfig) { c.observer = resilience.Observer(o) }

func (o observerOption) applyKeyed(c *keyedConfig) { c.observer = resilience.Observer(o) }

// WithObserver sets who is told of refusals. The default is nobody.
func WithObserver(o resilience.Observer) Option { return observerOption(o) }

type limiterConfig struct {
	maxWait  time.Duration // 0: no bound
	noBound  bool
	observer resilience.Observer
}

// WithMaxWait sets for how long [Limiter.Wait] may make a call wait. The default
// is [DefaultMaxWait].
func WithMaxWait(d time.Duration) LimiterOption {
	return limiterOption(func(c *limiterConfig) { c.maxWait, c.noBound = d, false })
}

// WithoutMaxWait lets [Limiter.Wait] make a call wait for as long as its context
// allows.
func WithoutMaxWait() LimiterOption {
	return limiterOption(func(c *limiterConfig) { c.noBound = true })
}

type concurrencyConfig struct {
	queue      int
	wait       time.Duration
	retryAfter time.Duration
	observer   resilience.Observer
}

// WithQueue lets up to n calls wait for a slot, each for no longer than wait, first
// come first served. By default, and with n 0, a call is refused when no slot is
// free.
func WithQueue(n int, wait time.Duration) ConcurrencyOption {
	return concurrencyOption(func(c *concurrencyConfig) { c.queue, c.wait = n, wait })
}

// WithRetryAfter sets what a refusal asks the caller to wait, because nobody knows
// when a slot will be free; 0 is no such hint. The default is [DefaultRetryAfter].
func WithRetryAfter(d time.Duration) ConcurrencyOption {
	return concurrencyOption(func(c *concurrencyConfig) { c.retryAfter = d })
}

type keyedConfig struct {
	maxKeys  int
	observer resilience.Observer
}

// WithMaxKeys sets how many keys are remembered. The default is [DefaultMaxKeys].
func WithMaxKeys(n int) KeyedOption {
	return keyedOption(func(c *keyedConfig) { c.maxKeys = n })
}

// checks collects what is wrong with the values of a constructor.
type checks []error

func (c *checks) want(ok bool, field string, value any, rule string) {
	if !ok {
		*c = append(*c, fmt.Errorf("ratelimit: %s %v: must %s", field, value, rule))
	}
}

func (c *checks) bucket(name string, limit rate.Limit, burst int) {
	c.want(name != "", "name", `""`, "not be empty")
	c.want(limit > 0 && limit <= rate.Inf, "limit", float64(limit), "be more than 0 events per second, or rate.Inf")
	c.want(burst >= 1, "burst", burst, "be at least 1")
}

func (c *checks) err() error { return errors.Join(*c...) }
