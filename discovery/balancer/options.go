// SPDX-License-Identifier: Apache-2.0

package balancer

import (
	"errors"
	"fmt"
	"time"
)

// The defaults.
const (
	DefaultDecay         = 5 * time.Second
	DefaultSlowStart     = 30 * time.Second
	DefaultSlowStartMin  = 0.1
	DefaultMinBackoff    = 500 * time.Millisecond
	DefaultMaxBackoff    = 10 * time.Second
	DefaultOverprovision = 1.4
	DefaultPanicShare    = 0.5

	DefaultEjectInterval     = 10 * time.Second
	DefaultEjectConsecutive  = 5
	DefaultEjectFailureShare = 0.85
	DefaultEjectDeviation    = 1.9
	DefaultEjectMinCalls     = 50
	DefaultEjectMinEndpoints = 5
	DefaultEjectTime         = 30 * time.Second
	DefaultMaxEjectTime      = 5 * time.Minute
	DefaultMaxEjected        = 0.1
)

// Option changes a balancer under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// Options puts options together.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

type config struct {
	policy        Policy
	decay         time.Duration
	slowStart     time.Duration
	slowStartMin  float64
	zone          string
	overprovision float64
	panicShare    float64
	minBackoff    time.Duration
	maxBackoff    time.Duration
	subset        int
	client        string
	subsetting    bool
	eject         ejectConfig
	observer      Observer
}

type ejectConfig struct {
	off          bool
	interval     time.Duration
	consecutive  int     // 0: off
	failureShare float64 // 0: off
	deviation    float64 // 0: off
	minCalls     int
	minEndpoints int
	time, max    time.Duration
	maxEjected   float64
}

func newConfig(opts []Option) (config, error) {
	c := config{
		decay:         DefaultDecay,
		slowStart:     DefaultSlowStart,
		slowStartMin:  DefaultSlowStartMin,
		overprovision: DefaultOverprovision,
		panicShare:    DefaultPanicShare,
		minBackoff:    DefaultMinBackoff,
		maxBackoff:    DefaultMaxBackoff,
		eject: ejectConfig{
			interval: DefaultEjectInterval, consecutive: DefaultEjectConsecutive,
			failureShare: DefaultEjectFailureShare, deviation: DefaultEjectDeviation,
			minCalls: DefaultEjectMinCalls, minEndpoints: DefaultEjectMinEndpoints,
			time: DefaultEjectTime, max: DefaultMaxEjectTime, maxEjected: DefaultMaxEjected,
		},
	}
	for _, o := range opts {
		o.apply(&c)
	}
	return c, c.validate()
}

func (c *config) validate() error {
	var errs []error
	check := func(ok bool, name string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("balancer: %s %v: must %s", name, value, rule))
		}
	}
	check(c.policy < numPolicies, "policy", int(c.policy), "be one of the constants")
	check(c.decay >= time.Millisecond, "decay", c.decay, "be at least 1ms")
	check(c.slowStart >= 0, "slow start", c.slowStart, "be 0 or more")
	check(c.slowStartMin > 0 && c.slowStartMin <= 1, "slow start share", c.slowStartMin, "be more than 0 and at most 1")
	check(c.overprovision >= 1, "zone overprovisioning", c.overprovision, "be at least 1")
	check(c.panicShare >= 0 && c.panicShare <= 1, "panic share", c.panicShare, "be from 0 to 1")
	check(c.minBackoff >= time.Millisecond, "min backoff", c.minBackoff, "be at least 1ms")
	check(c.maxBackoff >= c.minBackoff, "max backoff", c.maxBackoff, fmt.Sprintf("be at least the min backoff, %v", c.minBackoff))
	check(!c.subsetting || c.subset >= 1, "subset size", c.subset, "be at least 1")
	check(!c.subsetting || c.client != "", "subset client", `""`, "name this process, and no other")
	if e := c.eject; !e.off {
		check(e.interval >= time.Millisecond, "ejection interval", e.interval, "be at least 1ms")
		check(e.consecutive >= 0, "ejection's consecutive failures", e.consecutive, "be 1 or more, or 0 for never")
		check(e.failureShare >= 0 && e.failureShare <= 1, "ejection's failure share", e.failureShare, "be more than 0 and at most 1, or 0 for never")
		check(e.deviation >= 0, "ejection's deviation", e.deviation, "be positive, or 0 for never")
		check(e.minCalls >= 1, "ejection's calls", e.minCalls, "be at least 1")
		check(e.minEndpoints >= 1, "ejection's endpoints", e.minEndpoints, "be at least 1")
		check(e.time >= time.Millisecond, "ejection time", e.time, "be at least 1ms")
		check(e.max >= e.time, "max ejection time", e.max, fmt.Sprintf("be at least the ejection time, %v", e.time))
		check(e.maxEjected > 0 && e.maxEjected <= 1, "max ejected share", e.maxEjected, "be more than 0 and at most 1")
	}
	return errors.Join(errs...)
}

// WithPolicy sets how one endpoint is chosen. The default is [P2CEWMA].
func WithPolicy(p Policy) Option {
	return option(func(c *config) { c.policy = p })
}

// WithDecay sets how fast measured latencies are forgotten, for [P2CEWMA]: after this
// long, a sample counts for 1/e of what it did; and an endpoint without calls has gone
// as far from its own latency to that of the others. The default is [DefaultDecay].
func WithDecay(d time.Duration) Option {
	return option(func(c *config) { c.decay = d })
}

// WithSlowStart sets for how long an endpoint that is new, or is back after it could
// not be reached or was ejected, gets less than its share: at first the least share, 0 to
// 1, then more in proportion to time. The endpoints of the first update are not new: it
// is this process that is. 0 is no slow start. The defaults are [DefaultSlowStart] and
// [DefaultSlowStartMin].
func WithSlowStart(d time.Duration, least float64) Option {
	return option(func(c *config) { c.slowStart, c.slowStartMin = d, least })
}

// WithZone prefers endpoints of a zone, which is this process's. Others get what is
// too much for these; see the package documentation. "" is the default: no zone is
// preferred.
func WithZone(zone string) Option {
	return option(func(c *config) { c.zone = zone })
}

// WithZoneOverprovision sets how many times its share of the calls a zone can take, 1
// or more, before calls go to another zone. The default is [DefaultOverprovision].
func WithZoneOverprovision(factor float64) Option {
	return option(func(c *config) { c.overprovision = factor })
}

// WithPanicShare sets below which share of endpoints, 0 to 1, that are neither ejected
// nor set aside, such verdicts are ignored: if nearly all are bad, it is something
// else. 0 is never, as long as there is one. The default is [DefaultPanicShare].
func WithPanicShare(share float64) Option {
	return option(func(c *config) { c.panicShare = share })
}

// WithBackoff sets for how long an endpoint that could not be reached
// ([Unreachable]) is out of picks, which is twice as long after each further time in a
// row, up to longest. The defaults are [DefaultMinBackoff] and [DefaultMaxBackoff].
func WithBackoff(shortest, longest time.Duration) Option {
	return option(func(c *config) { c.minBackoff, c.maxBackoff = shortest, longest })
}

// WithSubset uses size of all endpoints only, the same ones for the same client: by
// rendezvous hashing, so that one endpoint more or less changes one of them at the
// most. client names this process among those that call the service, such as its
// instance id. The default is all endpoints.
func WithSubset(size int, client string) Option {
	return option(func(c *config) { c.subset, c.client, c.subsetting = size, client, true })
}

// WithEjectAfter ejects an endpoint at once after so many failures in a row; 0 is
// never. The default is [DefaultEjectConsecutive].
func WithEjectAfter(failures int) Option {
	return option(func(c *config) { c.eject.consecutive = failures })
}

// WithEjectFailureShare ejects an endpoint of whose calls in an interval at least this
// share failed, 0 to 1; 0 is never. The default is [DefaultEjectFailureShare].
func WithEjectFailureShare(share float64) Option {
	return option(func(c *config) { c.eject.failureShare = share })
}

// WithEjectDeviation ejects an endpoint whose rate of success in an interval is more
// than so many standard deviations below the mean of all; 0 is never. The default is
// [DefaultEjectDeviation].
func WithEjectDeviation(deviations float64) Option {
	return option(func(c *config) { c.eject.deviation = deviations })
}

// WithEjectInterval sets how often endpoints are compared, with the number of calls
// that it takes to judge one, and of endpoints that have as many to judge by deviation.
// The defaults are [DefaultEjectInterval], [DefaultEjectMinCalls] and
// [DefaultEjectMinEndpoints].
func WithEjectInterval(d time.Duration, calls, endpoints int) Option {
	return option(func(c *config) { c.eject.interval, c.eject.minCalls, c.eject.minEndpoints = d, calls, endpoints })
}

// WithEjectTime sets for how long an endpoint is ejected the first time. It is as much
// longer each further time, up to longest; an interval without ejection takes that
// back once. The defaults are [DefaultEjectTime] and [DefaultMaxEjectTime].
func WithEjectTime(d, longest time.Duration) Option {
	return option(func(c *config) { c.eject.time, c.eject.max = d, longest })
}

// WithMaxEjected sets which share of all endpoints, 0 to 1, may be ejected at a time:
// rounded down, but one, if there is another. The default is [DefaultMaxEjected].
func WithMaxEjected(share float64) Option {
	return option(func(c *config) { c.eject.maxEjected = share })
}

// WithoutEjection ejects nothing.
func WithoutEjection() Option {
	return option(func(c *config) { c.eject.off = true })
}

// WithObserver adds one to those who are told what happens. The default is nobody.
func WithObserver(o Observer) Option {
	return option(func(c *config) { c.observer = Observers(c.observer, o) })
}
