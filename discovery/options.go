// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"time"
)

// The defaults of registrars and watchers.
const (
	DefaultCallTimeout = 5 * time.Second
	DefaultMinBackoff  = 100 * time.Millisecond
	DefaultMaxBackoff  = 5 * time.Second
	DefaultJitter      = 0.5
)

// Option changes a [Watcher] or a [Registrar] under construction.
type Option interface {
	WatcherOption
	RegistrarOption
}

// EveryOption changes whatever is under construction: a [Watcher], a [Registrar], a
// [Patrol] or a [Sweep].
type EveryOption interface {
	Option
	PatrolOption
	SweepOption
}

type option func(*common)

func (o option) applyWatcher(c *watcherConfig)     { o(&c.common) }
func (o option) applyRegistrar(c *registrarConfig) { o(&c.common) }
func (o option) applyPatrol(c *patrolConfig)       { o(&c.common) }
func (o option) applySweep(c *sweepConfig)         { o(&c.common) }

type common struct {
	observer    Observer
	callTimeout time.Duration
	pace        pace
}

func newCommon() common {
	return common{callTimeout: DefaultCallTimeout, pace: pace{DefaultMinBackoff, DefaultMaxBackoff, DefaultJitter}}
}

func (c *common) validate(check checker) {
	check(c.callTimeout > 0, "call timeout", c.callTimeout, "be positive")
	check(c.pace.base >= time.Millisecond, "min backoff", c.pace.base, "be at least 1ms")
	check(c.pace.max >= c.pace.base, "max backoff", c.pace.max, fmt.Sprintf("be at least the min backoff, %v", c.pace.base))
	check(c.pace.jitter >= 0 && c.pace.jitter <= 1, "jitter", c.pace.jitter, "be from 0 to 1")
}

// checker notes that a value breaks a rule, unless ok.
type checker func(ok bool, field string, value any, rule string)

// checked calls f with a checker and returns what it noted.
func checked(f func(checker)) error {
	var errs []error
	f(func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("discovery: %s %v: must %s", field, value, rule))
		}
	})
	return errors.Join(errs...)
}

// WithObserver adds one to those who are told what happens. The default is nobody.
func WithObserver(o Observer) EveryOption {
	return option(func(c *common) { c.observer = Observers(c.observer, o) })
}

// WithCallTimeout sets how long the registry may take to answer. It does not limit
// the time for which a watch waits for a change. The default is
// [DefaultCallTimeout].
func WithCallTimeout(d time.Duration) EveryOption {
	return option(func(c *common) { c.callTimeout = d })
}

// WithBackoff sets how long to wait after a failure, which is twice as long after
// each further one in a row, up to longest. There is no last attempt. The defaults are
// [DefaultMinBackoff] and [DefaultMaxBackoff].
func WithBackoff(shortest, longest time.Duration) Option {
	return option(func(c *common) { c.pace.base, c.pace.max = shortest, longest })
}

// WithJitter sets by which share, 0 to 1, waits are shortened at random at the most,
// so that processes do not come back together; the time between heartbeats by a fifth of
// that. A [Sweep] does not wait for anything. The default is [DefaultJitter].
func WithJitter(f float64) EveryOption {
	return option(func(c *common) { c.pace.jitter = f })
}
