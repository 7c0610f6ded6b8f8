// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// ClientOption is a policy of the calls to a downstream service.
type ClientOption interface{ applyClient(*clientConfig) }

// MethodOption is a policy that may differ by method.
type MethodOption interface{ applyMethod(*attemptsConfig) }

// AttemptOption is a policy of a whole service or of a method.
type AttemptOption interface {
	ClientOption
	MethodOption
}

// LimitOption is a policy of the calls to a service or of those that come in.
type LimitOption interface {
	ClientOption
	ServerOption
}

type clientOption func(*clientConfig)

func (o clientOption) applyClient(c *clientConfig) { o(c) }

type attemptOption func(*attemptsConfig)

func (o attemptOption) applyClient(c *clientConfig) { o(&c.attempts) }

func (o attemptOption) applyMethod(c *attemptsConfig) { o(c) }

type limitOption func(*rateConfig)

func (o limitOption) applyClient(c *clientConfig) { o(&c.rate) }

func (o limitOption) applyServer(c *serverConfig) { o(&c.rate) }

// clientConfig is what the layers for a service come to.
type clientConfig struct {
	attempts attemptsConfig
	budget   budgetConfig
	breaker  breakerConfig
	rate     rateConfig
	bulkhead bulkheadConfig
	methods  map[string][]MethodOption
}

// attempting is how a call comes to have several attempts.
type attempting uint8

const (
	once attempting = iota
	retried
	hedged
)

type attemptsConfig struct {
	kind  attempting
	retry []retry.Option
	hedge []hedge.Option
}

type budgetConfig struct {
	off  bool
	opts []retry.BudgetOption
}

type breakerConfig struct {
	on   bool
	opts []breaker.Option
}

type rateConfig struct {
	on    bool
	limit rate.Limit
	burst int
	opts  []ratelimit.LimiterOption
}

type bulkheadConfig struct {
	on   bool
	max  int
	opts []bulkhead.Option
}

func newClientConfig(layers ...[]ClientOption) clientConfig {
	c := clientConfig{methods: map[string][]MethodOption{}}
	for _, opts := range layers {
		for _, o := range opts {
			o.applyClient(&c)
		}
	}
	return c
}

// Retry retries calls, instead of hedging them.
func Retry(opts ...retry.Option) AttemptOption {
	return attemptOption(func(c *attemptsConfig) { c.kind, c.retry = retried, append(c.retry, opts...) })
}

// Hedge hedges calls, instead of retrying them. Only those that may be made twice at
// the same time should be.
func Hedge(opts ...hedge.Option) AttemptOption {
	return attemptOption(func(c *attemptsConfig) { c.kind, c.hedge = hedged, append(c.hedge, opts...) })
}

// NoRetry makes calls once: they are neither retried nor hedged.
func NoRetry() AttemptOption {
	return attemptOption(func(c *attemptsConfig) { c.kind = once })
}

// Budget changes the budget from which retries and hedges to a service are paid. There
// always is one, with [retry.NewBudget]'s defaults, unless [NoBudget] says otherwise;
// [retry.WithBudget] and [retry.WithoutBudget] go their own way.
func Budget(opts ...retry.BudgetOption) ClientOption {
	return clientOption(func(c *clientConfig) { c.budget.off, c.budget.opts = false, append(c.budget.opts, opts...) })
}

// NoBudget lets every call to a service be retried and hedged as often as its attempts
// allow. In an outage that multiplies the load.
func NoBudget() ClientOption {
	return clientOption(func(c *clientConfig) { c.budget.off = true })
}

// Breaker stops calls to a service while it fails.
func Breaker(opts ...breaker.Option) ClientOption {
	return clientOption(func(c *clientConfig) { c.breaker.on, c.breaker.opts = true, append(c.breaker.opts, opts...) })
}

// NoBreaker sends calls whatever the state of the service.
func NoBreaker() ClientOption {
	return clientOption(func(c *clientConfig) { c.breaker.on = false })
}

// RateLimit bounds the rate of the calls to a service, which wait for their turn, or of
// those that come in, which are refused: limit per second, and burst at once after a
// pause.
func RateLimit(limit rate.Limit, burst int, opts ...ratelimit.LimiterOption) LimitOption {
	return limitOption(func(c *rateConfig) {
		c.on, c.limit, c.burst = true, limit, burst
		c.opts = append(c.opts, opts...)
	})
}

// NoRateLimit does not bound the rate of calls.
func NoRateLimit() LimitOption {
	return limitOption(func(c *rateConfig) { c.on = false })
}

// Bulkhead bounds how many calls to a service are under way at once.
func Bulkhead(max int, opts ...bulkhead.Option) ClientOption {
	return clientOption(func(c *clientConfig) {
		c.bulkhead.on, c.bulkhead.max = true, max
		c.bulkhead.opts = append(c.bulkhead.opts, opts...)
	})
}

// NoBulkhead does not bound how many calls are under way.
func NoBulkhead() ClientOption {
	return clientOption(func(c *clientConfig) { c.bulkhead.on = false })
}

// Method adds to what applies to one method of a service, after what applies to all of
// it:
//
//	"/shop.Payment/Charge"   a gRPC method
//	"/shop.Payment/"         all methods of a gRPC service
//	"POST /charges/{id}"     an HTTP method and path, as a pattern of http.ServeMux
//
// What is said of a gRPC method comes after what is said of all methods of its gRPC
// service. HTTP patterns of a service must be such that one ServeMux takes them all,
// and have no host: the service is it.
func Method(name string, opts ...MethodOption) ClientOption {
	return clientOption(func(c *clientConfig) { c.methods[name] = append(c.methods[name], opts...) })
}
