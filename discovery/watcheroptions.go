// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"math"
	"time"
)

// The defaults of a watcher.
const (
	DefaultEmptyHold     = 10 * time.Minute
	DefaultChurnShare    = 0.5
	DefaultChurnMin      = 5
	DefaultConfirmTime   = 30 * time.Second
	DefaultMaxStale      = 24 * time.Hour
	DefaultResync        = 10 * time.Minute
	DefaultStoreInterval = 5 * time.Second
)

// never stands for a time that does not come, in a configuration.
const never time.Duration = math.MinInt64

// WatcherOption changes a [Watcher] under construction.
type WatcherOption interface{ applyWatcher(*watcherConfig) }

type watcherOption func(*watcherConfig)

func (o watcherOption) applyWatcher(c *watcherConfig) { o(c) }

type watcherConfig struct {
	common
	keeper        keeperConfig
	resync        time.Duration
	store         Store
	storeInterval time.Duration
}

func newWatcherConfig(opts []WatcherOption) (watcherConfig, error) {
	c := watcherConfig{
		common: newCommon(),
		keeper: keeperConfig{
			emptyHold: DefaultEmptyHold, churnShare: DefaultChurnShare, churnMin: DefaultChurnMin,
			confirm: DefaultConfirmTime, maxStale: DefaultMaxStale,
		},
		resync:        DefaultResync,
		storeInterval: DefaultStoreInterval,
	}
	for _, o := range opts {
		o.applyWatcher(&c)
	}
	return c, checked(func(check checker) {
		c.validate(check)
		k := c.keeper
		check(k.emptyHold >= 0 || k.emptyHold == never, "empty hold", k.emptyHold, "be 0 or more")
		check(k.churnShare > 0 && k.churnShare <= 1, "churn share", k.churnShare, "be more than 0 and at most 1")
		check(k.churnMin >= 2, "churn minimum", k.churnMin, "be at least 2")
		check(k.confirm >= time.Millisecond, "confirm time", k.confirm, "be at least 1ms")
		check(k.maxStale > 0 || k.maxStale == never, "max stale", k.maxStale, "be positive")
		check(c.resync > 0 || c.resync == never, "resync", c.resync, "be positive")
		check(c.storeInterval >= 0, "store interval", c.storeInterval, "be 0 or more")
	})
}

// WithEmptyTrusted believes a registry that lists no instance of a service, at once.
// Without it see [WithEmptyHold].
func WithEmptyTrusted() WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.emptyHold = 0 })
}

// WithEmptyHold sets for how long the last instances of a service are kept after the
// registry began to list none. That is more often a registry that lost its memory, or
// a mistake that empties it, than a service that ended; and who calls a service that
// did end gets an error one way or the other. The default is [DefaultEmptyHold].
func WithEmptyHold(d time.Duration) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.emptyHold = max(d, 0) })
}

// WithEmptyHeldForever keeps the last instances of a service until the registry lists
// others, however long that takes.
func WithEmptyHeldForever() WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.emptyHold = never })
}

// WithChurnBrake sets which loss is too much to be believed at once: if of all
// instances that the registry listed within the confirm time more than a share, 0 to
// 1, is gone, all of those are kept until they were gone for the confirm time. It
// applies from atLeast instances on; with few, it is ordinary that half of them
// restart. The defaults are [DefaultChurnShare] and [DefaultChurnMin].
func WithChurnBrake(share float64, atLeast int) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.churnShare, c.keeper.churnMin = share, atLeast })
}

// WithoutChurnBrake believes any loss that leaves an instance.
func WithoutChurnBrake() WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.churnShare = 1 })
}

// WithConfirmTime sets for how long an instance has to be missing before a suspicious
// loss is believed: by the churn brake, and after the registry was away. It should be
// longer than instances take to register again, which is up to a third of their time
// to live and their longest back-off. The default is [DefaultConfirmTime].
func WithConfirmTime(d time.Duration) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.confirm = d })
}

// WithMaxStale sets for how long what is known is used while the registry is away.
// After that, there are no instances. The default, [DefaultMaxStale], is long: no
// instance can be added or moved while the registry is away, so that what is known is
// worth more than nothing.
func WithMaxStale(d time.Duration) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.maxStale = d })
}

// WithoutMaxStale uses what is known for however long the registry is away.
func WithoutMaxStale() WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.keeper.maxStale = never })
}

// WithResync sets how often a watch is opened anew and compared with what is known,
// up to the jitter earlier. It mends what a watch may have missed, and finds
// connections that are dead without a sign. The default is [DefaultResync].
func WithResync(d time.Duration) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.resync = d })
}

// WithoutResync never opens a watch anew that does not fail.
func WithoutResync() WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.resync = never })
}

// WithStore keeps what is known in a store, for the next process to begin with. The
// default is none.
func WithStore(s Store) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.store = s })
}

// WithStoreInterval sets how long to wait from one round of writing to the store to
// the next. The default is [DefaultStoreInterval].
func WithStoreInterval(d time.Duration) WatcherOption {
	return watcherOption(func(c *watcherConfig) { c.storeInterval = d })
}
