// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"maps"
	"slices"

	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// buildServer builds what the options say, and returns what is wrong with them.
func (c *config) buildServer() (*Server, faults) {
	var sc serverConfig
	for _, o := range c.server {
		o.applyServer(&sc)
	}
	s, f, err := &Server{}, faults(nil), error(nil)
	if sc.rate.on {
		s.RateLimit, err = c.limiter(c.name, sc.rate)
		f.add(err)
	}
	if l := sc.concurrency; l.on {
		observe := ratelimit.ConcurrencyOption(ratelimit.WithObserver(c.observer))
		s.Concurrency, err = ratelimit.NewConcurrency(c.name, l.max, first(observe, l.opts)...)
		f.add(err)
	}
	if sc.shed.on {
		s.Shed, err = shed.New(c.name, first(shed.WithObserver(c.observer), sc.shed.opts)...)
		f.add(err)
	}
	return s, f
}

// buildService builds what the defaults and the service's own options say, and returns
// what is wrong with them.
func (c *config) buildService(name string) (*Service, faults) {
	cc := newClientConfig(c.defaults, c.services[name])
	s, f, err := &Service{name: name, methods: make(map[string]*Client, len(cc.methods))}, faults(nil), error(nil)
	shared := &Client{}
	if !cc.budget.off {
		s.budget, err = retry.NewBudget(cc.budget.opts...)
		f.add(err)
	}
	if cc.breaker.on {
		shared.Breaker, err = breaker.New(name, first(breaker.WithObserver(c.observer), cc.breaker.opts)...)
		f.add(err)
	}
	if cc.rate.on {
		shared.RateLimit, err = c.limiter(name, cc.rate)
		f.add(err)
	}
	if b := cc.bulkhead; b.on {
		shared.Bulkhead, err = bulkhead.New(name, b.max, first(bulkhead.WithObserver(c.observer), b.opts)...)
		f.add(err)
	}
	s.client, err = c.client(s, shared, cc.attempts)
	f.add(err)

	names := slices.Sorted(maps.Keys(cc.methods)) // a gRPC service comes before its methods
	f = append(f, checkMethods(names)...)
	for _, method := range names {
		s.methods[method], err = c.client(s, shared, cc.method(method))
		f.addTo(method, err)
	}
	return s, f
}

// method returns what the layers for a method come to.
func (c *clientConfig) method(name string) attemptsConfig {
	own := attemptsConfig{kind: c.attempts.kind, retry: slices.Clip(c.attempts.retry), hedge: slices.Clip(c.attempts.hedge)}
	if all := allMethodsOf(name); all != name {
		for _, o := range c.methods[all] {
			o.applyMethod(&own)
		}
	}
	for _, o := range c.methods[name] {
		o.applyMethod(&own)
	}
	return own
}

// client adds to what the methods of a service share how often a call is made.
func (c *config) client(s *Service, shared *Client, own attemptsConfig) (*Client, error) {
	client, err := *shared, error(nil)
	switch own.kind {
	case retried:
		paid := retry.WithoutBudget()
		if s.budget != nil {
			paid = retry.WithBudget(s.budget)
		}
		client.Retry, err = retry.New(s.name, first(retry.WithObserver(c.observer), first(paid, own.retry))...)
	case hedged:
		paid := hedge.WithoutBudget()
		if s.budget != nil {
			paid = hedge.WithBudget(s.budget)
		}
		client.Hedge, err = hedge.New(s.name, first(hedge.WithObserver(c.observer), first(paid, own.hedge))...)
	}
	return &client, err
}

func (c *config) limiter(name string, r rateConfig) (*ratelimit.Limiter, error) {
	observe := ratelimit.LimiterOption(ratelimit.WithObserver(c.observer))
	return ratelimit.New(name, r.limit, r.burst, first(observe, r.opts)...)
}

// first returns opts with one before them, which they may override.
func first[O any](opt O, opts []O) []O { return append([]O{opt}, opts...) }
