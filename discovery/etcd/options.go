// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// The defaults.
const (
	// DefaultEndpoint is that of an etcd on this machine, as etcd listens if it is told
	// nothing.
	DefaultEndpoint = "http://127.0.0.1:2379"
	// DefaultPrefix is where all keys begin.
	DefaultPrefix = "fairlead"
	// DefaultConnectTimeout is how long one attempt to connect may take.
	DefaultConnectTimeout = 3 * time.Second
	// DefaultKeepAliveTime is how long a connection may be silent before it is asked
	// whether it is alive, and DefaultKeepAliveTimeout how long it may take to answer.
	// gRPC asks no more often than every 10 s.
	DefaultKeepAliveTime    = 10 * time.Second
	DefaultKeepAliveTimeout = 3 * time.Second
)

// Option changes a [Registry] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// connection is an option that makes no sense with a client that was given.
func connection(name string, f func(*config)) Option {
	return option(func(c *config) {
		c.connection = append(c.connection, name)
		f(c)
	})
}

type config struct {
	prefix     string
	connection []string // options about connections that were used

	endpoints        []string
	plaintext        bool // what has no scheme has no TLS
	tls              *tls.Config
	user, password   string
	connectTimeout   time.Duration
	keepAliveTime    time.Duration
	keepAliveTimeout time.Duration
	dialer           func(context.Context, string) (net.Conn, error)
}

func newConfig(opts []Option) (config, error) {
	c := config{
		prefix: DefaultPrefix, endpoints: []string{DefaultEndpoint}, connectTimeout: DefaultConnectTimeout,
		keepAliveTime: DefaultKeepAliveTime, keepAliveTimeout: DefaultKeepAliveTimeout,
	}
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			errs = append(errs, fmt.Errorf("etcd: %s %v: must %s", field, value, rule))
		}
	}
	errs = append(errs, checkPrefix(c.prefix))
	endpoints, secure, err := parseEndpoints(c.endpoints, c.plaintext)
	if err == nil {
		c.endpoints = endpoints
		check(secure || c.tls == nil, "TLS", "config", "not be set for endpoints with http://")
		if secure && c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	errs = append(errs, err)
	check(c.user != "" || c.password == "", "user", `""`, "be set with a password")
	check(c.user == "" || c.password != "", "password", `""`, "be set with a user")
	check(c.connectTimeout > 0, "connect timeout", c.connectTimeout, "be positive")
	check(c.keepAliveTime > 0, "keep-alive time", c.keepAliveTime, "be positive")
	check(c.keepAliveTimeout > 0, "keep-alive timeout", c.keepAliveTimeout, "be positive")
	return c, errors.Join(errs...)
}

// WithPrefix sets where all keys begin: words of letters, digits and "._-" with "/"
// between them, such as "fairlead" or "platform/registry". Whoever is to find each other
// has to have the same. The default is [DefaultPrefix].
func WithPrefix(prefix string) Option { return option(func(c *config) { c.prefix = prefix }) }

// WithEndpoints sets where etcd is reached: "https://host:port", "host:port", which means
// the same, or "http://host:port", which is the only way to go without TLS. The default is
// [DefaultEndpoint].
func WithEndpoints(endpoints ...string) Option {
	return connection("WithEndpoints", func(c *config) { c.endpoints = slices.Clone(endpoints) })
}

// WithTLS sets the authorities to trust and the certificate to show. The default trusts
// those of the system and shows none.
func WithTLS(t *tls.Config) Option {
	return connection("WithTLS", func(c *config) { c.tls = t.Clone() })
}

// WithUser sets who to be. The token that etcd gives is used until it is refused, and
// fetched again then. The default is nobody. Over http://, the password can be read by
// whoever is on the way.
func WithUser(name, password string) Option {
	return connection("WithUser", func(c *config) { c.user, c.password = name, password })
}

// WithConnectTimeout sets how long one attempt to connect may take. Calls end with their
// contexts, whatever it is. The default is [DefaultConnectTimeout].
func WithConnectTimeout(d time.Duration) Option {
	return connection("WithConnectTimeout", func(c *config) { c.connectTimeout = d })
}

// WithKeepAlive sets after which silence a connection is asked whether it is alive, and
// how long it may take to answer: how soon a watch finds out that its peer has gone
// without a word. etcd closes connections that ask more often than its
// --grpc-keepalive-min-time, 5 s. The defaults are [DefaultKeepAliveTime] and
// [DefaultKeepAliveTimeout].
func WithKeepAlive(silence, timeout time.Duration) Option {
	return connection("WithKeepAlive", func(c *config) { c.keepAliveTime, c.keepAliveTimeout = silence, timeout })
}

// WithDialer sets how to connect to an address: through a proxy, or in memory. The
// default is TCP.
func WithDialer(dial func(ctx context.Context, address string) (net.Conn, error)) Option {
	return connection("WithDialer", func(c *config) { c.dialer = dial })
}

// withPlaintext means endpoints without a scheme to go without TLS: etcdctl's
// --insecure-transport.
func withPlaintext() Option { return option(func(c *config) { c.plaintext = true }) }
