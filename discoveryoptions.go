// SPDX-License-Identifier: Apache-2.0

package fairlead

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// discoveryConfig is what options say of registries.
type discoveryConfig struct {
	catalog      discovery.Catalog
	namespace    discovery.Namespace
	instance     discovery.Instance
	host         string
	watch        []discovery.WatcherOption
	register     []discovery.RegistrarOption
	balance      []balancer.Option
	unregistered bool
	patrol       []discovery.PatrolOption
	patrolled    bool
	settings     []discovery.Setting // the effective ones
}

// WithRegistry sets where the service finds others, and where others find it: a
// back end of package discovery, such as Consul, etcd or memory. Clients then take
// a service's name for a target ([Service.Dial], [Service.HTTPClient]); and if the
// back end can be registered in, each server of the service is, from when Run
// begins to serve until it ends, as healthy as the service is ready. The
// registry is still the caller's to close, after the service.
//
// The default is none: targets are addresses, and nothing is registered.
func WithRegistry(c discovery.Catalog) Option {
	return optionFunc(func(cfg *config) {
		if v := reflect.ValueOf(c); c == nil || v.Kind() == reflect.Pointer && v.IsNil() { // such as one whose error was overlooked
			cfg.errs = append(cfg.errs, errors.New("WithRegistry: nil registry"))
			return
		}
		cfg.discovery.catalog = c
	})
}

// WithNamespace sets the environment of the service: it registers in no other,
// and finds nobody in any other. The default is what
// [discovery.NamespaceFromEnv] says: deployment.environment.name of
// OTEL_RESOURCE_ATTRIBUTES, or "dev".
func WithNamespace(ns discovery.Namespace) Option {
	return optionFunc(func(c *config) {
		c.discovery.namespace = ns
		if err := ns.Validate(); err != nil {
			c.errs = append(c.errs, fmt.Errorf("WithNamespace: %w", err))
		}
	})
}

// WithInstance sets what the registry says of the service besides: zone, weight,
// tags, metadata. What it has in other fields is ignored. The default zone is
// cloud.availability_zone of OTEL_RESOURCE_ATTRIBUTES, if there is one.
func WithInstance(in discovery.Instance) Option {
	return optionFunc(func(c *config) { c.discovery.instance = in })
}

// WithAdvertise sets the host under which callers reach the service, a name or an
// address without a port. The default is the host that is listened on and, where
// that is all of them, the first address of this machine that is not loopback.
func WithAdvertise(host string) Option {
	return optionFunc(func(c *config) {
		c.discovery.host = host
		if host == "" || strings.ContainsAny(host, "/ []") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
			c.errs = append(c.errs, fmt.Errorf("WithAdvertise: %q is no host", host))
		}
	})
}

// WithDiscovery adds options of the service's [discovery.Watcher]: a store on
// disk, how long lost instances are kept.
func WithDiscovery(opts ...discovery.WatcherOption) Option {
	return optionFunc(func(c *config) { c.discovery.watch = append(c.discovery.watch, opts...) })
}

// WithBalancing adds options of how calls are spread over the instances of a service,
// over gRPC and HTTP alike: see package balancer. The service's own zone is preferred
// anyway. A subset is for HTTP alone; gRPC takes one from a service config.
func WithBalancing(opts ...balancer.Option) Option {
	return optionFunc(func(c *config) {
		c.discovery.balance = append(c.discovery.balance, opts...)
		if _, err := balancer.New(opts...); err != nil {
			c.errs = append(c.errs, fmt.Errorf("WithBalancing: %w", err))
		}
	})
}

// WithRegistration adds options of the registrations. The time to live is, unless
// they say otherwise, [discovery.DefaultTTL] or a third more than the longest time
// limit of the servers, whichever is longer, but two minutes at the most; one that is
// not above all of those limits is an error of New.
func WithRegistration(opts ...discovery.RegistrarOption) Option {
	return optionFunc(func(c *config) { c.discovery.register = append(c.discovery.register, opts...) })
}

// WithoutRegistration leaves the service's servers out of the registry, which it
// only watches: for gateways and programs that nobody calls by name.
func WithoutRegistration() Option {
	return optionFunc(func(c *config) { c.discovery.unregistered = true })
}

// WithPatrol looks after the servers of the registry, as [discovery.NewPatrol] does:
// their leader, their agreement, their health, in metrics and log and in the health
// check "registry-servers", which is shown and keeps nobody from being ready. It is
// for one service or two of an environment, not for all of them: each asks every
// server. The back end has to be a [discovery.Inspector].
func WithPatrol(opts ...discovery.PatrolOption) Option {
	return optionFunc(func(c *config) {
		c.discovery.patrol, c.discovery.patrolled = append(c.discovery.patrol, opts...), true
	})
}

// WithDrainWait sets how long a service that ends goes on taking requests after
// it has said that it is not ready and is no longer in the registry, so that
// nobody calls it when it stops. The default is [DefaultDrainWait] with a registry,
// and none without. Behind a load balancer, it should be as long as that takes to
// see a failing probe. A service without servers does not wait.
func WithDrainWait(d time.Duration) Option {
	return optionFunc(func(c *config) {
		c.drainWait = d
		if d < 0 {
			c.errs = append(c.errs, fmt.Errorf("WithDrainWait: %v is negative", d))
		}
	})
}

// checkDiscovery completes what the options left out.
func (c *config) checkDiscovery() {
	d := &c.discovery
	if d.catalog == nil {
		if d.register != nil || d.watch != nil || d.balance != nil || d.patrolled {
			c.errs = append(c.errs, errors.New("WithDiscovery, WithRegistration, WithBalancing and WithPatrol need WithRegistry"))
		}
		c.drainWait = max(c.drainWait, 0)
		return
	}
	if c.drainWait < 0 {
		c.drainWait = DefaultDrainWait
	}
	if _, ok := d.catalog.(discovery.Inspector); d.patrolled && !ok {
		c.errs = append(c.errs, fmt.Errorf("WithPatrol: the servers of a %T cannot be asked how they are", d.catalog))
	}
	namespace := discovery.Setting{Name: "namespace", Value: string(d.namespace), Source: "WithNamespace"}
	if d.namespace == "" {
		var err error
		if d.namespace, namespace, err = discovery.NamespaceFromEnv(os.LookupEnv); err != nil {
			c.errs = append(c.errs, err)
		}
	}
	zone := discovery.Setting{Name: "zone", Value: d.instance.Zone, Source: "WithInstance"}
	if d.instance.Zone == "" {
		d.instance.Zone, zone = discovery.ZoneFromEnv(os.LookupEnv)
	}
	d.settings = []discovery.Setting{namespace, zone}
}

// advertised returns the address under which callers reach a listener.
func (c *discoveryConfig) advertised(l net.Addr) (string, error) {
	host, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return "", err
	}
	if c.host != "" {
		return net.JoinHostPort(c.host, port), nil
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsUnspecified() {
		return net.JoinHostPort(host, port), nil
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("WithAdvertise is needed: %w", err)
	}
	if host = reachable(all); host == "" {
		return "", errors.New("WithAdvertise is needed: this machine has no address but loopback")
	}
	return net.JoinHostPort(host, port), nil
}

// reachable returns the first of these addresses that others can reach, one of
// IPv4 if there is one, or "".
func reachable(all []net.Addr) string {
	found := ""
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		if found == "" {
			found = n.IP.String()
		}
	}
	return found
}
