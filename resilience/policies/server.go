// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Server is what protects this process from its callers. A field that is nil does not
// apply; the zero Server admits every call.
type Server struct {
	RateLimit   *ratelimit.Limiter
	Concurrency *ratelimit.Concurrency
	Shed        *shed.Shedder
}

// ServerOption is a policy of the calls that come in.
type ServerOption interface{ applyServer(*serverConfig) }

type serverOption func(*serverConfig)

func (o serverOption) applyServer(c *serverConfig) { o(c) }

type serverConfig struct {
	rate        rateConfig
	concurrency concurrencyConfig
	shed        shedConfig
}

type concurrencyConfig struct {
	on   bool
	max  int
	opts []ratelimit.ConcurrencyOption
}

type shedConfig struct {
	on   bool
	opts []shed.Option
}

// Concurrency bounds how many calls are handled at once.
func Concurrency(max int, opts ...ratelimit.ConcurrencyOption) ServerOption {
	return serverOption(func(c *serverConfig) {
		c.concurrency.on, c.concurrency.max = true, max
		c.concurrency.opts = append(c.concurrency.opts, opts...)
	})
}

// NoConcurrency does not bound how many calls are handled at once.
func NoConcurrency() ServerOption {
	return serverOption(func(c *serverConfig) { c.concurrency.on = false })
}

// Shed refuses calls beyond what the process finds that it has capacity for.
func Shed(opts ...shed.Option) ServerOption {
	return serverOption(func(c *serverConfig) { c.shed.on, c.shed.opts = true, append(c.shed.opts, opts...) })
}

// NoShed does not shed calls.
func NoShed() ServerOption {
	return serverOption(func(c *serverConfig) { c.shed.on = false })
}
