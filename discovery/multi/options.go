// SPDX-License-Identifier: Apache-2.0

package multi

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

// The defaults.
const (
	DefaultCallTimeout   = 500 * time.Millisecond
	DefaultRetryDelay    = 100 * time.Millisecond
	DefaultProbeInterval = 10 * time.Second
	DefaultReconcileTime = 10 * time.Second
	DefaultFallbackTTL   = 0.5
)

// ErrAway is matched by what a registration says while neither registry can be reached.
var ErrAway = errors.New("multi: both registries are away")

// Observer is told what moves. Every function is optional. They are called on the
// goroutine of the registration or the watch concerned, and must not block.
type Observer struct {
	// Switched is called when a registration or a watch moved to the other registry.
	Switched func(Switch)
	// Away is called for each heartbeat that neither registry took.
	Away func(Away)
	// CleanedUp is called when an entry was removed from the fallback after its
	// registration had moved back, or when that failed: the time to live removes it
	// then.
	CleanedUp func(discovery.Key, error)
}

// Switch is a move.
type Switch struct {
	// Query is what is watched or registered, and ID which registration it is; empty
	// for a watch.
	Query discovery.Query
	ID    string
	// ToFallback says in which direction.
	ToFallback bool
	// Err is why, if it is to the fallback.
	Err error
	// Took is the time since the first call that failed began.
	Took time.Duration
}

// Away is a heartbeat that neither registry took.
type Away struct {
	Key    discovery.Key
	Health discovery.Health // as it will be told
	Since  time.Time
	// Heartbeats is how many were kept since then.
	Heartbeats int
	Err        error
}

// Option changes a [Backend] or a [Catalog] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	callTimeout   time.Duration
	retryDelay    time.Duration
	probeInterval time.Duration
	reconcileTime time.Duration
	fallbackTTL   float64
	observer      Observer
}

func newConfig(opts []Option) (config, error) {
	c := config{DefaultCallTimeout, DefaultRetryDelay, DefaultProbeInterval, DefaultReconcileTime, DefaultFallbackTTL, Observer{}}
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("multi: %s %v: must be %s", field, value, rule))
		}
	}
	check(c.callTimeout > 0, "call timeout", c.callTimeout, "positive")
	check(c.retryDelay >= 0, "retry delay", c.retryDelay, "0 or more")
	check(c.probeInterval > 0, "probe interval", c.probeInterval, "positive")
	check(c.reconcileTime >= 0, "reconcile time", c.reconcileTime, "0 or more")
	check(c.fallbackTTL > 0 && c.fallbackTTL <= 1, "fallback TTL", c.fallbackTTL, "more than 0 and at most 1")
	return c, errors.Join(errs...)
}

// WithCallTimeout sets how long the primary may take to answer. The default is
// [DefaultCallTimeout]. Two calls and the delay between them should fit in the call
// timeout of the core.
func WithCallTimeout(d time.Duration) Option { return option(func(c *config) { c.callTimeout = d }) }

// WithRetryDelay sets how long to wait after the first call that failed. The default is
// [DefaultRetryDelay].
func WithRetryDelay(d time.Duration) Option { return option(func(c *config) { c.retryDelay = d }) }

// WithProbeInterval sets how often the primary is tried while it is away. The default is
// [DefaultProbeInterval].
func WithProbeInterval(d time.Duration) Option {
	return option(func(c *config) { c.probeInterval = d })
}

// WithReconcileTime sets the time over which registrations move back to a primary that
// answers again, each at a random moment of it. The default is [DefaultReconcileTime].
func WithReconcileTime(d time.Duration) Option {
	return option(func(c *config) { c.reconcileTime = d })
}

// WithFallbackTTL sets the time to live in the fallback as a fraction of the one that was
// asked for. The default is [DefaultFallbackTTL].
func WithFallbackTTL(fraction float64) Option {
	return option(func(c *config) { c.fallbackTTL = fraction })
}

// WithObserver sets who is told what moves. The default is nobody.
func WithObserver(o Observer) Option { return option(func(c *config) { c.observer = o }) }

// settleTime is for how long the primary has to answer until those who watch move back:
// registrations have, by then.
func (c *config) settleTime() time.Duration { return c.probeInterval + c.reconcileTime }

// overlap is how long after the first registration has moved back the last one who
// watches may still look at the fallback: it found the primary up to a probe interval
// later, and asks only that often whether the settle time is over.
func (c *config) overlap() time.Duration { return c.settleTime() + 2*c.probeInterval }

// some returns a random time up to d.
func some(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
