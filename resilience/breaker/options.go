// SPDX-License-Identifier: Apache-2.0

package breaker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// The defaults.
const (
	DefaultWindow        = 10 * time.Second
	DefaultMinCalls      = 20
	DefaultFailureRatio  = 0.5
	DefaultPatience      = time.Second
	DefaultOpenTime      = 5 * time.Second
	DefaultJitter        = 0.1
	DefaultMinRetryAfter = time.Second
	DefaultMaxRetryAfter = time.Minute
	DefaultProbes        = 3
	DefaultProbeLease    = 30 * time.Second
)

// minDuration bounds every duration from below. gobreaker needs the open time to
// be longer than the nanosecond that it is told.
const minDuration = time.Millisecond

// Option changes a breaker under construction, and the breakers of a [Registry].
type Option interface {
	RegistryOption
	apply(*config)
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

func (o option) applyRegistry(c *registryConfig) { c.defaults = append(c.defaults, o) }

type config struct {
	window        time.Duration
	minCalls      int
	failureRatio  float64
	slow          bool
	slowThreshold time.Duration
	slowRatio     float64
	failures      []resilience.Outcome
	patience      time.Duration // 0: callers' deadlines never count
	openTime      time.Duration
	jitter        float64
	minRetryAfter time.Duration
	maxRetryAfter time.Duration
	probes        int
	lease         time.Duration
	classify      func(context.Context, error) resilience.Outcome
	observer      resilience.Observer

	classes [resilience.OutcomeRejected + 1]class // from failures
}

func newConfig(opts []Option) (config, error) {
	c := config{
		window:        DefaultWindow,
		minCalls:      DefaultMinCalls,
		failureRatio:  DefaultFailureRatio,
		failures:      []resilience.Outcome{resilience.OutcomeTransient, resilience.OutcomeOverload, resilience.OutcomeTimeout},
		patience:      DefaultPatience,
		openTime:      DefaultOpenTime,
		jitter:        DefaultJitter,
		minRetryAfter: DefaultMinRetryAfter,
		maxRetryAfter: DefaultMaxRetryAfter,
		probes:        DefaultProbes,
		lease:         DefaultProbeLease,
		classify:      ended.Outcome,
	}
	for _, o := range opts {
		o.apply(&c)
	}
	if err := c.validate(); err != nil {
		return config{}, err
	}
	c.classes = classesOf(c.failures)
	return c, nil
}

func (c *config) validate() error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("breaker: %s %v: must be %s", field, value, rule))
		}
	}
	check(c.window >= minDuration, "window", c.window, "at least 1ms")
	check(c.minCalls >= 1, "min calls", c.minCalls, "at least 1")
	check(isRatio(c.failureRatio), "failure ratio", c.failureRatio, "more than 0 and at most 1")
	if c.slow {
		check(c.slowThreshold > 0, "slow call threshold", c.slowThreshold, "positive")
		check(isRatio(c.slowRatio), "slow call ratio", c.slowRatio, "more than 0 and at most 1")
	}
	check(c.patience >= 0, "patience", c.patience, "0 or more")
	check(c.openTime >= minDuration, "open time", c.openTime, "at least 1ms")
	check(c.jitter >= 0 && c.jitter <= 1, "jitter", c.jitter, "from 0 to 1")
	check(c.minRetryAfter >= minDuration, "min retry-after", c.minRetryAfter, "at least 1ms")
	check(c.maxRetryAfter >= c.minRetryAfter, "max retry-after", c.maxRetryAfter, fmt.Sprintf("at least the min retry-after, %v", c.minRetryAfter))
	check(c.probes >= 1 && c.probes <= maxProbes, "probes", c.probes, fmt.Sprintf("from 1 to %d", maxProbes))
	check(c.lease >= minDuration, "probe lease", c.lease, "at least 1ms")
	check(c.classify != nil, "classifier", "nil", "a function")
	check(len(c.failures) > 0, "failures", "[]", "at least one outcome")
	for _, o := range c.failures {
		check(isDownstreams(o), "failures", o, "a fault of the downstream service: server_fault, transient, overload or timeout")
	}
	return errors.Join(errs...)
}

// isRatio is false for NaN as well.
func isRatio(r float64) bool { return r > 0 && r <= 1 }

// maxProbes keeps the list of leases short.
const maxProbes = 1000

// Options returns opts as one option: a preset.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithWindow sets how long a call counts. The window slides in tenths of it. The
// default is [DefaultWindow].
func WithWindow(d time.Duration) Option {
	return option(func(c *config) { c.window = d })
}

// WithMinCalls sets how many calls that count, as successes or as failures, the
// window must have before a ratio means anything. The default is
// [DefaultMinCalls].
func WithMinCalls(n int) Option {
	return option(func(c *config) { c.minCalls = n })
}

// WithFailureRatio sets the fraction of failures among the calls that count, more
// than 0 and at most 1, at which the breaker opens. The default is
// [DefaultFailureRatio].
func WithFailureRatio(r float64) Option {
	return option(func(c *config) { c.failureRatio = r })
}

// WithSlowCalls makes the breaker open as well when the fraction ratio of the
// calls that count took threshold or longer, failed or not, and makes a slow probe
// a failed one. By default no call is too slow. A call that its caller canceled
// does not count however long it took.
func WithSlowCalls(threshold time.Duration, ratio float64) Option {
	return option(func(c *config) { c.slow, c.slowThreshold, c.slowRatio = true, threshold, ratio })
}

// WithFailures sets which outcomes count as failures: some of server_fault,
// transient, overload and timeout. The default is all of them but server_fault,
// because a server that answers 500 to one method may answer well to others.
func WithFailures(outcomes ...resilience.Outcome) Option {
	return option(func(c *config) { c.failures = append([]resilience.Outcome(nil), outcomes...) })
}

// WithPatience sets how long a call has to have taken for its end by the caller's
// deadline to count as a failure. In the middle of a mesh every deadline is a
// caller's, and a service that hangs would never trip the breaker otherwise; but a
// caller that leaves less time than calls take says nothing about the service. So
// it should be well above what calls usually take. Shorter ones, and those that the
// caller canceled, never count. The default is [DefaultPatience]; with 0 no
// caller's deadline counts, however long the call took.
func WithPatience(d time.Duration) Option {
	return option(func(c *config) { c.patience = d })
}

// WithOpenTime sets for how long the breaker is open if the downstream service
// does not say. The default is [DefaultOpenTime].
func WithOpenTime(d time.Duration) Option {
	return option(func(c *config) { c.openTime = d })
}

// WithJitter stretches each open time by a random fraction of up to f, 0 to 1, so
// that not every client comes back in the same instant. It never shortens one. The
// default is [DefaultJitter].
func WithJitter(f float64) Option {
	return option(func(c *config) { c.jitter = f })
}

// WithRetryAfterBounds sets the shortest and the longest open time that a
// downstream service can ask for; jitter comes on top. The defaults are
// [DefaultMinRetryAfter] and [DefaultMaxRetryAfter].
func WithRetryAfterBounds(shortest, longest time.Duration) Option {
	return option(func(c *config) { c.minRetryAfter, c.maxRetryAfter = shortest, longest })
}

// WithProbes sets how many calls are let through when the open time is over, and
// how many of them have to succeed: all. The default is [DefaultProbes].
func WithProbes(n int) Option {
	return option(func(c *config) { c.probes = n })
}

// WithProbeLease sets after how long a probe that has not been reported gives its
// place to another. It should be longer than calls usually take. The default is
// [DefaultProbeLease].
func WithProbeLease(d time.Duration) Option {
	return option(func(c *config) { c.lease = d })
}

// WithClassifier sets how [Breaker.Do] tells the outcome of a call by its context
// and error. The default knows the errors of this module and of contexts, and
// takes any other for a transient fault.
func WithClassifier(f func(ctx context.Context, err error) resilience.Outcome) Option {
	return option(func(c *config) { c.classify = f })
}

// WithObserver sets who is told of refusals and of changes of state. The default
// is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}
