// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fairlead-go/fairlead/resilience"
)

// DefaultName is what this process's own policies are called by default.
const DefaultName = "server"

// Option changes a [Set] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	name        string
	observer    resilience.Observer
	maxServices int
	defaults    []ClientOption
	services    map[string][]ClientOption
	server      []ServerOption
}

func newConfig(opts []Option) config {
	c := config{
		name:        DefaultName,
		maxServices: DefaultMaxServices,
		defaults:    []ClientOption{Retry(), Breaker()},
		services:    map[string][]ClientOption{},
	}
	for _, o := range opts {
		o.apply(&c)
	}
	return c
}

// validate checks what no policy does.
func (c *config) validate() []error {
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, &OptionError{Text: fmt.Sprintf("%s %v: must %s", field, value, rule)})
		}
	}
	check(c.name != "", "name", `""`, "not be empty")
	check(c.maxServices >= 1 && c.maxServices >= len(c.services), "max services", c.maxServices,
		fmt.Sprintf("be at least 1, and have room for the %d that have options of their own", len(c.services)))
	for _, name := range slices.Sorted(maps.Keys(c.services)) {
		check(name != "", "service", `""`, "not be empty")
		check(name != OtherServices, "service", name, "be another name: this one stands for those beyond the most")
	}
	return errs
}

// WithName sets what this process's own policies are called in labels, events and
// errors: the name of its service. The default is [DefaultName].
func WithName(name string) Option {
	return option(func(c *config) { c.name = name })
}

// WithObserver adds one to those who are told what the policies decide; all are. One
// that is set by a policy's own option takes their place for that policy. The default
// is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = resilience.Observers(c.observer, o) })
}

// WithMaxServices sets how many downstream services are kept, those of [WithService]
// included. The default is [DefaultMaxServices].
func WithMaxServices(n int) Option {
	return option(func(c *config) { c.maxServices = n })
}

// WithDefaults adds to what applies to every downstream service. Before any, that is
// [Retry] and [Breaker] without options.
func WithDefaults(opts ...ClientOption) Option {
	return option(func(c *config) { c.defaults = append(c.defaults, opts...) })
}

// WithService adds to what applies to the downstream service name; it comes after the
// defaults, wherever it stands.
func WithService(name string, opts ...ClientOption) Option {
	return option(func(c *config) { c.services[name] = append(c.services[name], opts...) })
}

// WithServer adds to what protects this process from its callers. Without any, nothing
// does.
func WithServer(opts ...ServerOption) Option {
	return option(func(c *config) { c.server = append(c.server, opts...) })
}
