// SPDX-License-Identifier: Apache-2.0

package bulkhead

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// Option changes a bulkhead under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	queue    int
	wait     time.Duration
	observer resilience.Observer
}

func newConfig(name string, max int, opts []Option) (config, error) {
	var c config
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("bulkhead: %s %v: must %s", field, value, rule))
		}
	}
	check(name != "", "name", `""`, "not be empty")
	check(max >= 1, "max", max, "be at least 1")
	check(c.queue >= 0, "queue", c.queue, "not be negative")
	check(c.queue <= 0 || c.wait > 0, "queue wait", c.wait, "be positive")
	return c, errors.Join(errs...)
}

// Options returns opts as one option: a preset.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithQueue lets up to n calls wait for a slot, each for no longer than wait. By
// default, and with n 0, a call is refused when no slot is free.
func WithQueue(n int, wait time.Duration) Option {
	return option(func(c *config) { c.queue, c.wait = n, wait })
}

// WithObserver sets who is told of refusals. The default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}
