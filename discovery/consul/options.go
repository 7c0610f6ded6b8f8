// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The defaults.
const (
	// DefaultAddress is that of an agent on the same host.
	DefaultAddress = "127.0.0.1:8500"
	// DefaultWait bounds how long a query waits for a change, and with that how long a
	// connection that is dead without a sign, or an index that went backwards while
	// nobody looked, goes unnoticed.
	DefaultWait = time.Minute
	// DefaultDeregisterAfter is how long Consul lists an instance as failing before it
	// removes it.
	DefaultDeregisterAfter = 5 * time.Minute
)

// The limits of what is set. Consul takes longer waits for its longest one, and removes
// nothing sooner.
const (
	minWait            = time.Second
	maxWait            = 10 * time.Minute
	minDeregisterAfter = time.Minute
)

// Option changes a [Backend] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// config is what can be set, and where each of it came from.
type config struct {
	address       string
	ssl           bool
	verify        bool
	token         string
	tokenFile     string
	auth          string // user:password
	caFile        string
	caPath        string
	certFile      string
	keyFile       string
	tlsServerName string
	namespace     string
	partition     string
	datacenter    string
	wait          time.Duration

	native          bool
	tls             *tls.Config
	transport       http.RoundTripper
	tags            []string
	deregisterAfter time.Duration

	sources map[string]string // by the name of the setting
	errs    []error
}

func defaultConfig() *config {
	return &config{
		address: DefaultAddress, verify: true, wait: DefaultWait, deregisterAfter: DefaultDeregisterAfter, sources: map[string]string{},
	}
}

func (c *config) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("consul: "+format, args...))
}

// WithAddress sets where the agent is: "host:port", a URL with the scheme http or https
// and a path if it is behind a proxy, or "unix:///path/of/socket". The default is
// [DefaultAddress]. A token goes to another host in plain text only if the address says
// http:// itself.
func WithAddress(address string) Option {
	return option(func(c *config) { c.address, c.sources[setAddress] = address, "WithAddress" })
}

// WithToken sets the token for all requests. It replaces that of a file. See the
// package's documentation for what it has to be allowed. The default is none.
func WithToken(token string) Option {
	return option(func(c *config) {
		c.token, c.tokenFile = token, ""
		c.sources[setToken], c.sources[setTokenFile] = "WithToken", "WithToken"
	})
}

// WithTokenFile sets a file that the token is in. It is read for each request: a token
// that is replaced there is used from the next one on. It replaces [WithToken].
func WithTokenFile(path string) Option {
	return option(func(c *config) {
		c.token, c.tokenFile = "", path
		c.sources[setToken], c.sources[setTokenFile] = "WithTokenFile", "WithTokenFile"
	})
}

// WithTLS makes requests over TLS with this configuration, which is not changed. Files
// that the environment names for TLS are left alone.
func WithTLS(cfg *tls.Config) Option {
	return option(func(c *config) {
		if cfg == nil {
			c.fail("WithTLS: configuration must not be nil")
			return
		}
		c.tls, c.ssl, c.sources[setSSL] = cfg, true, "WithTLS"
	})
}

// WithConsulNamespace sets the namespace of Consul Enterprise that everything stands in,
// whatever its environment. The default is that of the token. It is not the namespace of
// instances and queries, which is kept apart inside of it: for that, see
// [WithNativeNamespaces].
func WithConsulNamespace(name string) Option {
	return option(func(c *config) { c.namespace, c.sources[setNamespace] = name, "WithConsulNamespace" })
}

// WithPartition sets the admin partition of Consul Enterprise. The default is that of
// the agent.
func WithPartition(name string) Option {
	return option(func(c *config) { c.partition, c.sources[setPartition] = name, "WithPartition" })
}

// WithNativeNamespaces keeps environments apart by the namespaces of Consul Enterprise:
// the service "order" of "prod" is the service "order" in Consul's namespace "prod",
// which has to exist. Both sides have to say so. It cannot be combined with
// [WithConsulNamespace].
func WithNativeNamespaces() Option { return option(func(c *config) { c.native = true }) }

// WithDatacenter sets the datacenter whose instances are watched. The default is the
// agent's own. Registrations are always in that of the agent.
func WithDatacenter(name string) Option {
	return option(func(c *config) { c.datacenter, c.sources[setDatacenter] = name, "WithDatacenter" })
}

// WithTransport makes requests through a transport of the caller's, which is to be kept
// by it, with its TLS. It must not end a request that Consul takes [WithWait] to answer.
func WithTransport(t http.RoundTripper) Option {
	return option(func(c *config) {
		if t == nil {
			c.fail("WithTransport: transport must not be nil")
			return
		}
		c.transport = t
	})
}

// WithWait sets for how long a query waits for a change before it is made anew, 1 s to
// 10 min. It costs an answer of full length each time. The default is [DefaultWait].
func WithWait(d time.Duration) Option {
	return option(func(c *config) { c.wait, c.sources[setWait] = d, "WithWait" })
}

// WithTags sets tags that every registration has in Consul besides those of its
// instance, for others who read it, such as a proxy. Those that could be tags of an
// instance are seen as such by callers.
func WithTags(tags ...string) Option {
	return option(func(c *config) { c.tags = slices.Clone(tags) })
}

// WithDeregisterAfter sets how long Consul lists an instance as failing before it
// removes it, at least a minute; it looks twice a minute. It is for what a process leaves
// behind that was killed, and nobody is sent there meanwhile. The default is
// [DefaultDeregisterAfter].
func WithDeregisterAfter(d time.Duration) Option {
	return option(func(c *config) { c.deregisterAfter = d })
}

// validate returns all that is wrong.
func (c *config) validate() error {
	if c.wait < minWait || c.wait > maxWait {
		c.fail("wait %v: must be from %v to %v (from %s)", c.wait, minWait, maxWait, c.source(setWait))
	}
	if c.deregisterAfter < minDeregisterAfter {
		c.fail("deregister after %v: must be at least %v, which is the least that Consul does", c.deregisterAfter, minDeregisterAfter)
	}
	if c.native && c.namespace != "" {
		c.fail("namespace %q (from %s): must be empty if environments are namespaces of Consul", c.namespace, c.source(setNamespace))
	}
	if (c.certFile == "") != (c.keyFile == "") {
		c.fail("client certificate %q and key %q: must both be set, or none", c.certFile, c.keyFile)
	}
	if c.tls != nil && c.transport != nil {
		c.fail("WithTLS: must not be set with WithTransport, whose TLS is its own")
	}
	for _, tag := range c.tags {
		if tag == "" {
			c.fail("tag %q: must not be empty", tag)
		}
	}
	return errors.Join(c.errs...)
}
