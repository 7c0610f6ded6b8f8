// SPDX-License-Identifier: Apache-2.0

package httpresolver

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// The defaults.
const (
	// DefaultWait is for how long after [New] requests wait for the first answer of the
	// registry.
	DefaultWait = 5 * time.Second
	// DefaultPatience is how long an instance has to answer before it is to blame for a
	// deadline of the caller's.
	DefaultPatience = time.Second
)

// Option is an option of [New].
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	balancer   []balancer.Option
	filter     func(*discovery.Instance) bool
	wait       time.Duration
	patience   time.Duration
	serverName string
	classify   func(*http.Response) balancer.Result
	observer   Observer
}

func newConfig(service string, opts []Option) (config, error) {
	c := config{wait: DefaultWait, patience: DefaultPatience, serverName: service, classify: ResultOf}
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	check := func(ok bool, name string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("httpresolver: %s %v: must %s", name, value, rule))
		}
	}
	check(c.wait >= 0, "wait", c.wait, "not be negative")
	check(c.patience >= 0, "patience", c.patience, "not be negative")
	check(c.serverName != "" || service == "", "server name", `""`, "not be empty")
	check(c.classify != nil, "classifier", "nil", "be a function")
	return c, errors.Join(errs...)
}

// WithBalancer configures the balancer that chooses among instances. Several uses add
// up. The default is that of [balancer.New].
func WithBalancer(opts ...balancer.Option) Option {
	return option(func(c *config) { c.balancer = append(c.balancer, opts...) })
}

// WithFilter calls only instances that a function chooses, such as by a tag. It has to
// say the same of the same instance, is called for each when they change and must not
// block; to prefer a zone, and go to others if need be, is the balancer's
// ([balancer.WithZone]). The default, and nil, is all of them.
func WithFilter(f func(*discovery.Instance) bool) Option {
	return option(func(c *config) { c.filter = f })
}

// WithWait sets for how long after [New] requests wait for the first answer of the
// registry, within their own deadlines; 0 is not at all. Once there was one, or it has
// been long enough, no request waits. The default is [DefaultWait].
func WithWait(d time.Duration) Option {
	return option(func(c *config) { c.wait = d })
}

// WithPatience sets how long an instance has had to answer if a deadline of the caller's
// is to count against it: callers in a hurry say nothing about it, and one that hangs is
// found out by patient ones. The default is [DefaultPatience].
func WithPatience(d time.Duration) Option {
	return option(func(c *config) { c.patience = d })
}

// WithServerName sets the name that servers have to prove by their certificates
// ([Resolver.TLSConfig]). The default is the name of the service.
func WithServerName(name string) Option {
	return option(func(c *config) { c.serverName = name })
}

// WithClassifier sets what a response's status and header say about the instance. It must
// be safe for concurrent use and leave the body alone. The default is [ResultOf].
func WithClassifier(f func(*http.Response) balancer.Result) Option {
	return option(func(c *config) { c.classify = f })
}

// WithObserver adds one to those who are told what happens. The default is nobody. What
// the balancer decides is told to its own ([balancer.WithObserver]).
func WithObserver(o Observer) Option {
	return option(func(c *config) { c.observer = observers(c.observer, o) })
}
