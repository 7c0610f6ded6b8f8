// SPDX-License-Identifier: Apache-2.0

package shed

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
	DefaultInitialLimit  = 20
	DefaultMinLimit      = 4
	DefaultMaxLimit      = 1000
	DefaultWindow        = 250 * time.Millisecond
	DefaultMinSamples    = 20
	DefaultSmoothing     = 0.5
	DefaultTolerance     = 1.25
	DefaultSlack         = time.Millisecond
	DefaultProbeInterval = 30 * time.Second
	DefaultRetryAfter    = 500 * time.Millisecond
	DefaultCPUTarget     = 0.95
	DefaultCPUInterval   = 250 * time.Millisecond
)

// limitMax keeps sums of limits within an int on every platform.
const limitMax = 1_000_000

// Option changes a shedder under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	initial, min, max int
	window            time.Duration
	minSamples        int
	smoothing         float64
	tolerance         float64
	slack             time.Duration
	probeInterval     time.Duration
	retryAfter        time.Duration
	cpu               bool
	cpuTarget         float64
	cpuReader         CPUReader
	cpuInterval       time.Duration
	priority          PriorityFunc
	classify          func(context.Context, error) resilience.Outcome
	observer          resilience.Observer
}

func newConfig(opts []Option) (config, error) {
	c := config{
		initial:       DefaultInitialLimit,
		min:           DefaultMinLimit,
		max:           DefaultMaxLimit,
		window:        DefaultWindow,
		minSamples:    DefaultMinSamples,
		smoothing:     DefaultSmoothing,
		tolerance:     DefaultTolerance,
		slack:         DefaultSlack,
		probeInterval: DefaultProbeInterval,
		retryAfter:    DefaultRetryAfter,
		cpu:           true,
		cpuTarget:     DefaultCPUTarget,
		cpuReader:     OwnCPU,
		cpuInterval:   DefaultCPUInterval,
		priority:      ByMethod,
		classify:      ended.Outcome,
	}
	for _, o := range opts {
		o.apply(&c)
	}
	return c, c.validate()
}

func (c *config) validate() error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("shed: %s %v: must be %s", field, value, rule))
		}
	}
	check(c.min >= 1, "min limit", c.min, "at least 1")
	check(c.max >= c.min && c.max <= limitMax, "max limit", c.max, fmt.Sprintf("from the min limit, %d, to %d", c.min, limitMax))
	check(c.initial >= c.min && c.initial <= c.max, "initial limit", c.initial, fmt.Sprintf("from the min limit, %d, to the max limit, %d", c.min, c.max))
	check(c.window >= time.Millisecond, "window", c.window, "at least 1ms")
	check(c.minSamples >= 1, "min samples", c.minSamples, "at least 1")
	check(c.smoothing > 0 && c.smoothing <= 1, "smoothing", c.smoothing, "more than 0 and at most 1")
	check(c.tolerance >= 1 && c.tolerance <= 10, "tolerance", c.tolerance, "from 1 to 10")
	check(c.slack >= 0, "slack", c.slack, "0 or more")
	check(c.probeInterval >= c.window, "probe interval", c.probeInterval, fmt.Sprintf("at least the window, %v", c.window))
	check(c.retryAfter >= 0, "retry-after", c.retryAfter, "0 or more")
	if c.cpu {
		check(c.cpuTarget > 0 && c.cpuTarget <= 1, "cpu target", c.cpuTarget, "more than 0 and at most 1")
		check(c.cpuReader != nil, "cpu reader", "nil", "a function")
		check(c.cpuInterval >= 10*time.Millisecond, "cpu interval", c.cpuInterval, "at least 10ms")
	}
	check(c.priority != nil, "priorities", "nil", "a function")
	check(c.classify != nil, "classifier", "nil", "a function")
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

// WithInitialLimit sets the limit to begin with. The default is
// [DefaultInitialLimit]. A first guess that is much too low refuses calls for the
// first seconds; one that is much too high is found out by the first probe.
func WithInitialLimit(n int) Option {
	return option(func(c *config) { c.initial = n })
}

// WithMinLimit sets the least that the limit can become, 1 or more. The default is
// [DefaultMinLimit].
func WithMinLimit(n int) Option {
	return option(func(c *config) { c.min = n })
}

// WithMaxLimit sets the most that the limit can become; critical calls may use half
// as much again, health calls twice as much. The default is
// [DefaultMaxLimit].
func WithMaxLimit(n int) Option {
	return option(func(c *config) { c.max = n })
}

// WithWindow sets for how long latencies are gathered before the limit moves, at
// least 1 ms, and how many of them there must be, at least 1. A window is never
// shorter than three times the mean latency. The defaults are [DefaultWindow] and
// [DefaultMinSamples].
func WithWindow(d time.Duration, minSamples int) Option {
	return option(func(c *config) { c.window, c.minSamples = d, minSamples })
}

// WithSmoothing sets which fraction of the way to its new value the limit goes at
// the end of a window, more than 0 and at most 1. The default is
// [DefaultSmoothing].
func WithSmoothing(f float64) Option {
	return option(func(c *config) { c.smoothing = f })
}

// WithTolerance sets how many times the unloaded latency calls may take, 1 to 10,
// before the limit goes down. The default is [DefaultTolerance].
func WithTolerance(f float64) Option {
	return option(func(c *config) { c.tolerance = f })
}

// WithSlack sets by how much latency may rise, whatever the tolerance, before the
// limit goes down: it keeps the limit from following the noise of calls that take
// microseconds. The default is [DefaultSlack]; 0 is none.
func WithSlack(d time.Duration) Option {
	return option(func(c *config) { c.slack = d })
}

// WithProbeInterval sets how long, give or take a tenth, the unloaded latency is
// relied upon while the limit is in use all the time. The default is
// [DefaultProbeInterval].
func WithProbeInterval(d time.Duration) Option {
	return option(func(c *config) { c.probeInterval = d })
}

// WithRetryAfter sets when refused calls are told to come back: after d to 2 × d,
// at random, so that they do not come together. The default is
// [DefaultRetryAfter]; 0 tells them nothing.
func WithRetryAfter(d time.Duration) Option {
	return option(func(c *config) { c.retryAfter = d })
}

// WithCPU sets the share of the CPU, more than 0 and at most 1, above which calls
// are shed, and what reads it. The defaults are [DefaultCPUTarget] and [OwnCPU].
func WithCPU(target float64, read CPUReader) Option {
	return option(func(c *config) { c.cpu, c.cpuTarget, c.cpuReader = true, target, read })
}

// WithoutCPU makes the shedder go by latency alone.
func WithoutCPU() Option {
	return option(func(c *config) { c.cpu = false })
}

// WithCPUInterval sets how often the CPU is read while there are calls, at least
// 10 ms. The default is [DefaultCPUInterval].
func WithCPUInterval(d time.Duration) Option {
	return option(func(c *config) { c.cpuInterval = d })
}

// WithPriorities sets how [Shedder.Priority] tells the priority of a call whose
// context has none. The default is [ByMethod].
func WithPriorities(f PriorityFunc) Option {
	return option(func(c *config) { c.priority = f })
}

// WithClassifier sets how [Shedder.Do] tells the outcome of a call by its context
// and error. The default knows the errors of this module and of contexts, and
// takes any other for a transient fault.
func WithClassifier(f func(ctx context.Context, err error) resilience.Outcome) Option {
	return option(func(c *config) { c.classify = f })
}

// WithObserver sets who is told of refusals, of each move of the limit, and of CPU
// time that cannot be read. The default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}
