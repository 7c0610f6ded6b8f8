// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"fmt"
	"time"
)

// The defaults of a registrar.
const (
	DefaultTTL           = 15 * time.Second
	DefaultHealthTimeout = time.Second
	DefaultFailAfter     = 2
	DefaultPassAfter     = 2
	DefaultVerifyEvery   = time.Minute
	DefaultBreakAfter    = 5
	DefaultBreakTime     = 10 * time.Second
	DefaultLeaveTime     = 100 * time.Millisecond
)

// minTTL is below what any registry grants.
const minTTL = time.Second

// RegistrarOption changes a [Registrar] under construction.
type RegistrarOption interface{ applyRegistrar(*registrarConfig) }

type registrarOption func(*registrarConfig)

func (o registrarOption) applyRegistrar(c *registrarConfig) { o(c) }

type registrarConfig struct {
	common
	ttl            time.Duration
	serverTimeouts []serverTimeout
	tuner          tuner
	health         func(context.Context) error
	healthTimeout  time.Duration
	failAfter      int
	passAfter      int
	verifyEvery    time.Duration
	breakAfter     int
	breakTime      time.Duration
	leaveTime      time.Duration
}

type serverTimeout struct {
	name string
	d    time.Duration
}

func newRegistrarConfig(opts []RegistrarOption) (registrarConfig, error) {
	c := registrarConfig{
		common: newCommon(), ttl: DefaultTTL, healthTimeout: DefaultHealthTimeout,
		failAfter: DefaultFailAfter, passAfter: DefaultPassAfter, verifyEvery: DefaultVerifyEvery,
		breakAfter: DefaultBreakAfter, breakTime: DefaultBreakTime, leaveTime: DefaultLeaveTime,
	}
	for _, o := range opts {
		o.applyRegistrar(&c)
	}
	if c.tuner.longest == 0 {
		c.tuner.longest = c.ttl
	}
	c.tuner.shortest = c.ttl
	return c, checked(func(check checker) {
		c.validate(check)
		check(c.ttl >= minTTL, "TTL", c.ttl, fmt.Sprintf("be at least %v", minTTL))
		for _, t := range c.serverTimeouts {
			check(c.ttl > t.d, "TTL", c.ttl, fmt.Sprintf("be more than %v, the server's %s, so that no request outlives the registration: raise it with WithTTL, or lower that timeout", t.d, t.name))
		}
		check(c.tuner.longest >= c.ttl, "longest TTL", c.tuner.longest, fmt.Sprintf("be at least the TTL, %v", c.ttl))
		check(c.healthTimeout > 0, "health timeout", c.healthTimeout, "be positive")
		check(c.failAfter >= 1, "fail after", c.failAfter, "be at least 1")
		check(c.passAfter >= 1, "pass after", c.passAfter, "be at least 1")
		check(c.verifyEvery > 0 || c.verifyEvery == never, "verify every", c.verifyEvery, "be positive")
		check(c.breakAfter >= 1, "break after", c.breakAfter, "be at least 1")
		check(c.breakTime >= time.Millisecond, "break time", c.breakTime, "be at least 1ms")
		check(c.leaveTime >= 0, "leave time", c.leaveTime, "not be negative")
	})
}

// WithTTL sets for how long the registry lists the instance after the last heartbeat.
// There are three heartbeats in that time. The default is [DefaultTTL].
func WithTTL(d time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.ttl = d })
}

// WithTTLTuning lets the time to live grow up to longest under pressure, and shrink
// back after it: a process that is short of memory or a registry that is slow then
// has longer, instead of losing its registrations on top. pressure returns how bad it
// is, from 0 to 1, and must not block; nil stands for [MemoryPressure]. The time that
// heartbeats take counts in any case. It is never shorter than the one of [WithTTL].
func WithTTLTuning(longest time.Duration, pressure func() float64) RegistrarOption {
	return registrarOption(func(c *registrarConfig) {
		if pressure == nil {
			pressure = MemoryPressure
		}
		c.tuner.longest, c.tuner.pressure = longest, pressure
	})
}

// WithServerTimeout says how long the server gives a request in some respect, such as
// "write timeout". The time to live has to be longer, which is checked at
// construction.
func WithServerTimeout(name string, d time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.serverTimeouts = append(c.serverTimeouts, serverTimeout{name, d}) })
}

// WithHealth sets what says whether the instance can take requests, such as the checks
// of package health. It is asked before each heartbeat, on a goroutine of its own: if
// it does not return in time, or panics, the instance fails, because a process that is
// stuck must not look healthy. The default is that the instance is healthy for as long
// as the process can send heartbeats.
func WithHealth(check func(context.Context) error) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.health = check })
}

// WithHealthTimeout sets how long the health check may take. The default is
// [DefaultHealthTimeout].
func WithHealthTimeout(d time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.healthTimeout = d })
}

// WithDamping sets how many checks in a row have to fail until the instance is
// reported as failing, and to pass until it is reported as passing again. The latter
// doubles with each time that it fails within ten times to live of the last, so that a
// check that goes up and down all the time ends as failing. The very first check counts
// at once, and so does the first that passes. A check that disagrees with what was
// reported is repeated after a fifteenth of the time to live. The defaults are
// [DefaultFailAfter] and [DefaultPassAfter].
func WithDamping(failAfter, passAfter int) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.failAfter, c.passAfter = failAfter, passAfter })
}

// WithVerification sets how often the instance is read back from the registry, up to
// the jitter earlier; it is after each registration in any case. The default is
// [DefaultVerifyEvery].
func WithVerification(every time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.verifyEvery = every })
}

// WithoutVerification reads the instance back after it was registered only.
func WithoutVerification() RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.verifyEvery = never })
}

// WithRegistrationBreaker sets after how many registrations in a row that failed, or
// that did not last until they were read back, the registry gets a rest, and for how
// long, up to the jitter less. After it, one is tried. The defaults are
// [DefaultBreakAfter] and [DefaultBreakTime].
func WithRegistrationBreaker(after int, d time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.breakAfter, c.breakTime = after, d })
}

// WithLeaveTime sets for how long [Registrar.Deregister] leaves the instance in the
// registry as one that is about to go, for callers to hear of it before it is missing:
// one that they did not hear it of may be held as lost. 0 takes it out without a word.
// The default is [DefaultLeaveTime].
func WithLeaveTime(d time.Duration) RegistrarOption {
	return registrarOption(func(c *registrarConfig) { c.leaveTime = d })
}
