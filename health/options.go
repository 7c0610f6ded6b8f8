// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"time"
)

// The defaults of a check.
const (
	// DefaultInterval is the time from the start of a run to that of the next.
	DefaultInterval = 5 * time.Second
	// DefaultTimeout is how long a run may take.
	DefaultTimeout = time.Second
	// DefaultJitter is the fraction of the interval by which runs come earlier at random.
	DefaultJitter = 0.2
	// DefaultFailAfter is how many runs in a row have to fail.
	DefaultFailAfter = 2
	// DefaultPassAfter is how many runs in a row have to pass after a failure.
	DefaultPassAfter = 2
)

// SetOption changes a [Set] under construction.
type SetOption interface{ applySet(*setConfig) }

// Option changes one check, or, given to [NewSet], the default for all of them.
type Option interface {
	SetOption
	applyCheck(*checkConfig)
}

// WatchOption changes what [Set.Watch] makes.
type WatchOption interface{ applyWatch(*checkConfig) }

// CommonOption is for checks and for what is watched.
type CommonOption interface {
	Option
	WatchOption
}

type setConfig struct {
	observer Observer
	defaults checkConfig
}

type checkConfig struct {
	criticality Criticality
	interval    time.Duration
	timeout     time.Duration // 0: DefaultTimeout, or the interval if that is shorter
	timeoutSet  bool
	jitter      float64
	failAfter   int
	passAfter   int
	assumed     bool
	// again is the pause between runs while one disagrees with what counts, and the
	// shortest there is.
	again time.Duration
}

type setOption func(*setConfig)

func (o setOption) applySet(c *setConfig) { o(c) }

type checkOption func(*checkConfig)

func (o checkOption) applySet(c *setConfig)     { o(&c.defaults) }
func (o checkOption) applyCheck(c *checkConfig) { o(c) }

func (c Criticality) applySet(s *setConfig)         { s.defaults.criticality = c }
func (c Criticality) applyCheck(check *checkConfig) { check.criticality = c }
func (c Criticality) applyWatch(check *checkConfig) { check.criticality = c }

type assumption struct{ checkOption }

func (a assumption) applyWatch(c *checkConfig) { a.applyCheck(c) }

// WithObserver adds an observer. There can be several.
func WithObserver(o Observer) SetOption {
	return setOption(func(c *setConfig) { c.observer = Observers(c.observer, o) })
}

// WithInterval sets how often the check runs, from the start of a run to that of the
// next, up to the jitter earlier. A run that disagrees with what counts is repeated
// after a fifth of it. Results are stale when more than two intervals and the time-out
// have passed since the next run was due. The default is [DefaultInterval].
func WithInterval(d time.Duration) Option {
	return checkOption(func(c *checkConfig) { c.interval = d })
}

// WithTimeout sets how long the check may take, at most the interval. The default is
// [DefaultTimeout], or the interval if that is shorter.
func WithTimeout(d time.Duration) Option {
	return checkOption(func(c *checkConfig) { c.timeout, c.timeoutSet = d, true })
}

// WithJitter sets the fraction of the interval, from 0 up to and without 1, by which
// runs come earlier at random, so that processes that began together do not go on
// together. The default is [DefaultJitter]; 0 is none.
func WithJitter(fraction float64) Option {
	return checkOption(func(c *checkConfig) { c.jitter = fraction })
}

// WithDamping sets how many runs in a row have to fail until a check that passed counts
// as failing, and to pass until it counts as passing again. The latter doubles, up to
// 32, with each time that it fails within twenty intervals of its recovery: what goes
// up and down all the time ends as failing. The very first run counts at once, and so
// does the first that passes. The defaults are [DefaultFailAfter] and
// [DefaultPassAfter].
func WithDamping(failAfter, passAfter int) Option {
	return checkOption(func(c *checkConfig) { c.failAfter, c.passAfter = failAfter, passAfter })
}

// WithAssumedPassing lets the check count as passing until its first run, instead of
// keeping the process from being ready until then. It is for what is added while
// requests are served already.
func WithAssumedPassing() CommonOption {
	return assumption{func(c *checkConfig) { c.assumed = true }}
}

func newCheckConfig() checkConfig {
	return checkConfig{interval: DefaultInterval, jitter: DefaultJitter, failAfter: DefaultFailAfter, passAfter: DefaultPassAfter}
}

// resolve fills in what depends on other settings, and returns what is wrong.
func (c *checkConfig) resolve() error {
	if !c.timeoutSet {
		c.timeout = min(DefaultTimeout, c.interval)
	}
	c.again = c.interval / 5
	var errs []error
	check := func(ok bool, option string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: is %v and must %s", option, value, rule))
		}
	}
	check(c.interval >= time.Millisecond, "WithInterval", c.interval, "be at least 1ms")
	check(c.timeout > 0 || !c.timeoutSet, "WithTimeout", c.timeout, "be positive")
	check(c.timeout <= c.interval, "WithTimeout", c.timeout, fmt.Sprintf("be at most the interval, %v", c.interval))
	check(c.jitter >= 0 && c.jitter < 1, "WithJitter", c.jitter, "be at least 0 and less than 1")
	check(c.failAfter >= 1, "WithDamping", c.failAfter, "fail after at least 1")
	check(c.passAfter >= 1 && c.passAfter <= maxPassAfter, "WithDamping", c.passAfter, fmt.Sprintf("pass after 1 to %d", maxPassAfter))
	check(c.criticality != Vital, "criticality", c.criticality, "be Critical or Optional: a restart does not mend a dependency; Vital is for Watch")
	check(c.criticality <= Vital, "criticality", uint8(c.criticality), "be Critical, Optional or Vital")
	return errors.Join(errs...)
}
