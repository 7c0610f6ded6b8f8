// SPDX-License-Identifier: Apache-2.0

package discovery

import "time"

// DefaultSweepConfirm is for how long a leftover has to be there before it is removed:
// longer than any time to live, and than a registry is away for most of the time.
const DefaultSweepConfirm = 10 * time.Minute

// SweepOption changes a [Sweep] under construction.
type SweepOption interface{ applySweep(*sweepConfig) }

type sweepOption func(*sweepConfig)

func (o sweepOption) applySweep(c *sweepConfig) { o(c) }

type sweepConfig struct {
	common
	removal bool
	confirm time.Duration
}

func newSweepConfig(opts []SweepOption) (sweepConfig, error) {
	c := sweepConfig{common: newCommon(), confirm: DefaultSweepConfirm}
	for _, o := range opts {
		o.applySweep(&c)
	}
	return c, checked(func(check checker) {
		c.validate(check)
		check(c.confirm >= minTTL, "sweep confirm time", c.confirm, "be at least "+minTTL.String())
	})
}

// WithRemoval removes what is left over, see [Sweep], up to 100 entries in a pass. The
// default is to say so and leave it.
func WithRemoval() SweepOption {
	return sweepOption(func(c *sweepConfig) { c.removal = true })
}

// WithSweepConfirm sets for how long a leftover has to be there, unchanged, before it is
// removed. The default is [DefaultSweepConfirm].
func WithSweepConfirm(d time.Duration) SweepOption {
	return sweepOption(func(c *sweepConfig) { c.confirm = d })
}
