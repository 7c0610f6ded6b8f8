// SPDX-License-Identifier: Apache-2.0

package redislimit

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience"
)

// The defaults.
const (
	DefaultWindow  = time.Minute
	DefaultSlice   = 100 * time.Millisecond
	DefaultTimeout = 50 * time.Millisecond
	DefaultRecheck = time.Second
	DefaultMaxKeys = 10_000
	DefaultPrefix  = "fairlead:limit"
)

// maxSlices bounds what a key takes in Redis, to some 40 kB.
const maxSlices = 10_000

// Option changes a limiter under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	window, slice time.Duration
	localRate     rate.Limit // 0: limit / window
	localBurst    int        // 0: a tenth of the limit
	local         bool       // the two are given
	timeout       time.Duration
	recheck       time.Duration
	batch         int
	batchHold     time.Duration
	maxKeys       int
	prefix        string
	observer      resilience.Observer
}

// hold is for how long at most after it was counted a permit is used.
func (c *config) hold() time.Duration { return max(c.timeout, c.batchHold) }

func newConfig(limit int, opts []Option) (config, error) {
	c := config{
		window:  DefaultWindow,
		slice:   DefaultSlice,
		timeout: DefaultTimeout,
		recheck: DefaultRecheck,
		batch:   1,
		maxKeys: DefaultMaxKeys,
		prefix:  DefaultPrefix,
	}
	for _, o := range opts {
		o.apply(&c)
	}
	if err := c.validate(limit); err != nil {
		return config{}, err
	}
	if !c.local {
		c.localRate = rate.Limit(float64(limit) / c.window.Seconds())
		c.localBurst = max(1, limit/10)
	}
	return c, nil
}

func (c *config) validate(limit int) error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("redislimit: %s %v: must be %s", field, value, rule))
		}
	}
	check(limit >= 1 && limit <= math.MaxInt32, "limit", limit, fmt.Sprintf("from 1 to %d", math.MaxInt32))
	whole := c.slice >= time.Millisecond && c.slice%time.Millisecond == 0
	check(whole, "slice", c.slice, "at least 1ms, in whole milliseconds")
	if whole {
		check(c.window >= c.slice && c.window%c.slice == 0 && c.window/c.slice <= maxSlices, "window", c.window,
			fmt.Sprintf("1 to %d times the slice, %v", maxSlices, c.slice))
	}
	check(c.timeout >= time.Millisecond && c.timeout <= c.window, "timeout", c.timeout, fmt.Sprintf("from 1ms to the window, %v", c.window))
	check(c.recheck >= c.timeout, "recheck", c.recheck, fmt.Sprintf("at least the timeout, %v", c.timeout))
	check(c.batch >= 1 && c.batch <= max(limit, 1), "batch", c.batch, fmt.Sprintf("from 1 to the limit, %d", limit))
	check(c.batch == 1 || c.batchHold >= time.Millisecond && c.batchHold <= c.window, "batch hold", c.batchHold, fmt.Sprintf("from 1ms to the window, %v", c.window))
	if c.local {
		check(c.localRate > 0 && c.localRate <= rate.Inf, "local limit", float64(c.localRate), "more than 0 events per second, or rate.Inf")
		check(c.localBurst >= 1, "local burst", c.localBurst, "at least 1")
	}
	check(c.maxKeys >= 1, "max keys", c.maxKeys, "at least 1")
	check(c.prefix != "" && !strings.ContainsAny(c.prefix, "{}"), "prefix", fmt.Sprintf("%q", c.prefix), "a text without braces")
	return errors.Join(errs...)
}

// Options returns opts as one option: a preset.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithWindow sets for how long calls count, and in slices of what length: window has
// to be 1 to 10,000 slices, and a slice whole milliseconds. The defaults are
// [DefaultWindow] and [DefaultSlice]. All processes must have the same.
func WithWindow(window, slice time.Duration) Option {
	return option(func(c *config) { c.window, c.slice = window, slice })
}

// WithLocal sets the token bucket that each key has in this process: limit events
// per second, and burst at once. It is what holds when Redis is away. The default is
// the shared limit's own rate, and a tenth of the limit at once, at least 1.
func WithLocal(limit rate.Limit, burst int) Option {
	return option(func(c *config) { c.local, c.localRate, c.localBurst = true, limit, burst })
}

// WithTimeout sets for how long a call waits for Redis at most. The default is
// [DefaultTimeout].
func WithTimeout(d time.Duration) Option {
	return option(func(c *config) { c.timeout = d })
}

// WithRecheck sets how often, while there are calls, a Redis that is away is looked
// after. The default is [DefaultRecheck].
func WithRecheck(d time.Duration) Option {
	return option(func(c *config) { c.recheck = d })
}

// WithBatch takes up to n permits of a key at a time, from 1 to the limit, and uses
// them without asking for as long as hold; what is left then is lost to everybody
// for a window. The promise is kept, because permits count for longer by hold. It
// suits keys with many calls per second in each process. By default each call asks.
func WithBatch(n int, hold time.Duration) Option {
	return option(func(c *config) { c.batch, c.batchHold = n, hold })
}

// WithMaxKeys sets how many keys this process remembers. The one that has been idle
// for longest is forgotten first: it gets a full token bucket when it returns, while
// its count in Redis is as it was. The default is [DefaultMaxKeys].
func WithMaxKeys(n int) Option {
	return option(func(c *config) { c.maxKeys = n })
}

// WithPrefix sets what keys in Redis begin with, a text without braces. The default
// is [DefaultPrefix].
func WithPrefix(prefix string) Option {
	return option(func(c *config) { c.prefix = prefix })
}

// WithObserver sets who is told of refusals, and when Redis is away and back. The
// default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}

// NewClient returns a client of opts that suits a limiter: it minds the timeouts of
// its callers, does not repeat what may have been counted nor a dial that was
// refused, and has timeouts of a second where opts has none. It is the caller's to
// close.
func NewClient(opts redis.UniversalOptions) redis.UniversalClient {
	const timeout = time.Second
	opts.ContextTimeoutEnabled = true
	opts.MaxRetries = -1   // none
	opts.DialerRetries = 1 // attempts, not retries
	for _, d := range []*time.Duration{&opts.DialTimeout, &opts.ReadTimeout, &opts.WriteTimeout, &opts.PoolTimeout} {
		if *d == 0 {
			*d = timeout
		}
	}
	return redis.NewUniversalClient(&opts)
}

// checkClient finds the setting without which a Redis that hangs would hold calls
// for much longer than the timeout.
func checkClient(c redis.Scripter) error {
	minds := true
	switch c := c.(type) {
	case *redis.Client:
		minds = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		minds = c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		minds = c.Options().ContextTimeoutEnabled
	}
	if !minds {
		return errors.New("redislimit: client ContextTimeoutEnabled false: must be true, or a Redis that hangs holds calls for its ReadTimeout; NewClient sets it")
	}
	return nil
}
