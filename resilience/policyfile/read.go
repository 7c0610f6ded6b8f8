// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// read returns the options of the file, as far as they can be read.
func (p *parser) read(data []byte) (opts []policies.Option) {
	top := p.document(data)
	if top == nil {
		return nil
	}
	o := p.object(top, "")
	p.objects[part{}] = o
	set(o, &opts, "max_services", whole, policies.WithMaxServices)
	inherited := 0
	if at, ok := o.section("defaults"); ok {
		var layer []policies.ClientOption
		layer, inherited = p.client(at, part{part: "defaults"})
		opts = append(opts, policies.WithDefaults(layer...))
	}
	p.methods = inherited
	if at, ok := o.section("services"); ok {
		services := p.object(at.node, at.field)
		for _, name := range services.keys {
			where := part{part: "service", service: name}
			at, fine := p.serviceKey(services, name, where)
			layer, own := p.client(at, where)
			if fine {
				opts = append(opts, policies.WithService(name, layer...))
				p.methods += inherited + own
			}
		}
	}
	if at, ok := o.section("server"); ok {
		opts = append(opts, policies.WithServer(p.server(at)...))
	}
	o.end()
	return opts
}

// serviceKey returns what is said of a service, and whether one can be called that.
func (p *parser) serviceKey(services *object, name string, where part) (at place, fine bool) {
	at, _ = services.get(name)
	key := services.entries[name].key
	p.keys[where] = place{key, at.field}
	switch name {
	case "":
		p.fail(key, at.field, "", "must not be empty")
	case policies.OtherServices:
		p.fail(key, at.field, "", "must be another name: this one stands for the services beyond the most")
	default:
		return at, true
	}
	return at, false
}

// section returns the value of a key, unless it says nothing.
func (o *object) section(key string) (place, bool) {
	at, ok := o.get(key)
	return at, ok && !isNull(at.node)
}

// client reads what applies to a service, or to all, and returns how many methods it
// names.
func (p *parser) client(at place, where part) (opts []policies.ClientOption, methods int) {
	if isNull(at.node) {
		return nil, 0
	}
	o := p.object(at.node, at.field)
	add := func(opt policies.ClientOption) { opts = append(opts, opt) }
	for _, opt := range o.attempts(where) {
		add(opt)
	}
	o.policy(where, "budget", func() { add(policies.NoBudget()) }, func(in *object) {
		add(policies.Budget(readBudget(in)...))
	})
	o.policy(where, "breaker", func() { add(policies.NoBreaker()) }, func(in *object) {
		add(policies.Breaker(readBreaker(in)...))
	})
	o.policy(where, "rate_limit", func() { add(policies.NoRateLimit()) }, func(in *object) {
		if r, ok := readRateLimit(in, true); ok {
			add(policies.RateLimit(r.limit, r.burst, r.opts...))
		}
	})
	o.policy(where, "bulkhead", func() { add(policies.NoBulkhead()) }, func(in *object) {
		if most, own, ok := readBulkhead(in); ok {
			add(policies.Bulkhead(most, own...))
		}
	})
	if at, ok := o.section("methods"); ok {
		names := p.object(at.node, at.field)
		for _, name := range names.keys {
			at, _ := names.get(name)
			where.method = name
			p.keys[where] = place{names.entries[name].key, at.field}
			add(policies.Method(name, p.method(at, where)...))
		}
		methods = len(names.keys)
	}
	o.end()
	return opts, methods
}

// method reads what applies to a method.
func (p *parser) method(at place, where part) (opts []policies.MethodOption) {
	if isNull(at.node) {
		return nil
	}
	o := p.object(at.node, at.field)
	for _, opt := range o.attempts(where) {
		opts = append(opts, opt)
	}
	o.end()
	return opts
}

// attempts reads retry and hedge. What is off comes first, so that the other holds.
func (o *object) attempts(where part) (opts []policies.AttemptOption) {
	off := false
	o.policy(where, "retry", func() { off = true }, func(in *object) {
		opts = append(opts, policies.Retry(readRetry(in)...))
	})
	o.policy(where, "hedge", func() { off = true }, func(in *object) {
		opts = append(opts, policies.Hedge(readHedge(in)...))
	})
	if len(opts) == 2 {
		key := o.entries["hedge"].key
		o.fail(key, inPath(o.field, "hedge"), "", "must not be set together with retry: a call is retried or hedged")
	}
	if off {
		opts = append([]policies.AttemptOption{policies.NoRetry()}, opts...)
	}
	return opts
}

// server reads what protects this process.
func (p *parser) server(at place) (opts []policies.ServerOption) {
	o, where := p.object(at.node, at.field), part{part: "server"}
	add := func(opt policies.ServerOption) { opts = append(opts, opt) }
	o.policy(where, "rate_limit", func() { add(policies.NoRateLimit()) }, func(in *object) {
		if r, ok := readRateLimit(in, false); ok {
			add(policies.RateLimit(r.limit, r.burst, r.opts...))
		}
	})
	o.policy(where, "concurrency", func() { add(policies.NoConcurrency()) }, func(in *object) {
		if most, own, ok := readConcurrency(in); ok {
			add(policies.Concurrency(most, own...))
		}
	})
	o.policy(where, "shed", func() { add(policies.NoShed()) }, func(in *object) {
		add(policies.Shed(readShed(in)...))
	})
	o.end()
	return opts
}
