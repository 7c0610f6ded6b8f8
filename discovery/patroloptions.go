// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"fmt"
	"slices"
	"time"
)

// The defaults of a patrol.
const (
	DefaultPatrolInterval = 30 * time.Second
	DefaultMaxLag         = 1000
	DefaultMaxLatency     = time.Second
	DefaultMaxDBShare     = 0.8
)

// DefaultCritical returns what a [Patrol.Check] fails for unless [WithCritical] says
// otherwise: that with which a registry takes no registrations.
func DefaultCritical() []FindingKind {
	return []FindingKind{FindingUnreachable, FindingNoLeader, FindingSplit, FindingAlarm}
}

// PatrolOption changes a [Patrol] under construction.
type PatrolOption interface{ applyPatrol(*patrolConfig) }

type patrolOption func(*patrolConfig)

func (o patrolOption) applyPatrol(c *patrolConfig) { o(c) }

type patrolConfig struct {
	common
	interval   time.Duration
	maxLag     uint64
	maxLatency time.Duration
	maxDBShare float64
	critical   map[FindingKind]bool
	kinds      []FindingKind // of critical, to be looked at
	sweep      *Sweep
	sweepEvery int
}

func newPatrolConfig(opts []PatrolOption) (patrolConfig, error) {
	c := patrolConfig{
		common: newCommon(), interval: DefaultPatrolInterval, maxLag: DefaultMaxLag,
		maxLatency: DefaultMaxLatency, maxDBShare: DefaultMaxDBShare, kinds: DefaultCritical(), sweepEvery: 1,
	}
	for _, o := range opts {
		o.applyPatrol(&c)
	}
	c.critical = map[FindingKind]bool{}
	for _, k := range c.kinds {
		c.critical[k] = true
	}
	return c, checked(func(check checker) {
		c.validate(check)
		check(c.interval >= 100*time.Millisecond, "patrol interval", c.interval, "be at least 100ms")
		check(c.maxLatency > 0, "max latency", c.maxLatency, "be positive")
		check(c.maxDBShare > 0 && c.maxDBShare <= 1, "max database share", c.maxDBShare, "be more than 0 and at most 1")
		check(c.sweepEvery >= 1, "rounds from one sweep to the next", c.sweepEvery, "be at least 1")
		for _, k := range c.kinds {
			check(int(k) < len(findingNames), "critical finding", int(k), fmt.Sprintf("be one of the constants, 0 to %d", len(findingNames)-1))
		}
	})
}

// WithPatrolInterval sets the time from one round to the next, which is up to the
// jitter shorter, so that processes do not ask together. The default is
// [DefaultPatrolInterval].
func WithPatrolInterval(d time.Duration) PatrolOption {
	return patrolOption(func(c *patrolConfig) { c.interval = d })
}

// WithMaxLag sets how many log entries a member may be behind the one that has most.
// The default is [DefaultMaxLag].
func WithMaxLag(entries uint64) PatrolOption {
	return patrolOption(func(c *patrolConfig) { c.maxLag = entries })
}

// WithMaxLatency sets how long a server may take to answer. The default is
// [DefaultMaxLatency].
func WithMaxLatency(d time.Duration) PatrolOption {
	return patrolOption(func(c *patrolConfig) { c.maxLatency = d })
}

// WithMaxDBShare sets which share of its quota, 0 to 1, a database may take. The default
// is [DefaultMaxDBShare].
func WithMaxDBShare(share float64) PatrolOption {
	return patrolOption(func(c *patrolConfig) { c.maxDBShare = share })
}

// WithCritical sets which findings [Patrol.Check] fails for, in place of
// [DefaultCritical]; with none, it fails if there was no round for long.
func WithCritical(kinds ...FindingKind) PatrolOption {
	kinds = slices.Clone(kinds)
	return patrolOption(func(c *patrolConfig) { c.kinds = kinds })
}

// WithSweep makes a pass of a sweep after every so many rounds, on the patrol's
// goroutine. The default is none.
func WithSweep(s *Sweep, everyRounds int) PatrolOption {
	return patrolOption(func(c *patrolConfig) { c.sweep, c.sweepEvery = s, everyRounds })
}
