// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
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

// Option changes a [Backend] under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// own is an option about connections, which a client that was given has already. It sets
// these settings.
func own(name string, f func(*config), settings ...string) Option {
	return option(func(c *config) {
		c.own = name
		c.set(f, settings...)
	})
}

// config is what can be set, and where each of it came from.
type config struct {
	prefix           string
	endpoints        []string
	user, password   string
	files            tlsFiles
	plaintext        bool // what has no scheme has no TLS
	connectTimeout   time.Duration
	keepAliveTime    time.Duration
	keepAliveTimeout time.Duration
	tls              *tls.Config // instead of files; after complete, what is used
	dialer           func(context.Context, string) (net.Conn, error)

	own     string            // the last option about connections that was used
	sources map[string]string // of settings that are not their defaults
	errs    []error
}

func defaultConfig() *config {
	return &config{
		prefix: DefaultPrefix, endpoints: []string{DefaultEndpoint}, connectTimeout: DefaultConnectTimeout,
		keepAliveTime: DefaultKeepAliveTime, keepAliveTimeout: DefaultKeepAliveTimeout, sources: map[string]string{},
	}
}

// set changes settings by an option.
func (c *config) set(f func(*config), settings ...string) {
	f(c)
	for _, name := range settings {
		c.sources[name] = sourceOption
	}
}

// complete checks what was set, and works out what follows from it.
func (c *config) complete() error {
	check := func(ok bool, field string, value any, rule string) {
		if !ok {
			c.errs = append(c.errs, fmt.Errorf("etcd: %s %v: must %s", field, value, rule))
		}
	}
	c.errs = append(c.errs, checkPrefix(c.prefix))
	if name, password, ok := strings.Cut(c.user, ":"); ok && c.password == "" {
		c.user, c.password = name, password
	}
	check(c.user != "" || c.password == "", setUser, `""`, "be set with a password")
	check(c.user == "" || c.password != "", setPassword, `""`, "be set with a user")
	check(c.connectTimeout > 0, setConnectTimeout, c.connectTimeout, "be positive")
	check(c.keepAliveTime > 0, setKeepAliveTime, c.keepAliveTime, "be positive")
	check(c.keepAliveTimeout > 0, setKeepAliveTimeout, c.keepAliveTimeout, "be positive")
	if c.tls == nil {
		var err error
		c.tls, err = c.files.config()
		c.errs = append(c.errs, err)
	}
	endpoints, secure, err := parseEndpoints(c.endpoints, c.plaintext)
	if c.errs = append(c.errs, err); err == nil {
		c.endpoints = endpoints
		check(secure || c.tls == nil, setEndpoints, strings.Join(endpoints, ","), "be https:// where TLS is configured")
		if secure && c.tls == nil {
			c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	return errors.Join(c.errs...)
}

// WithPrefix sets where all keys begin: words of letters, digits and "._-" with "/"
// between them, such as "fairlead" or "platform/registry". Whoever is to find each other
// has to have the same. The default is [DefaultPrefix].
func WithPrefix(prefix string) Option {
	return option(func(c *config) { c.set(func(c *config) { c.prefix = prefix }, setPrefix) })
}

// WithEndpoints sets where etcd is reached: "https://host:port", "host:port", which means
// the same, or "http://host:port", which is the only way to go without TLS. The default is
// [DefaultEndpoint].
func WithEndpoints(endpoints ...string) Option {
	return own("WithEndpoints", func(c *config) { c.endpoints = slices.Clone(endpoints) }, setEndpoints)
}

// WithUser sets who to be. The token that etcd gives is used until it is refused, and
// fetched again then. The default is nobody. Over http://, the password can be read by
// whoever is on the way.
func WithUser(name, password string) Option {
	return own("WithUser", func(c *config) { c.user, c.password = name, password }, setUser, setPassword)
}

// WithTLS sets the authorities to trust and the certificate to show, instead of files
// that settings name. The default trusts those of the system and shows none.
func WithTLS(t *tls.Config) Option {
	return own("WithTLS", func(c *config) { c.tls, c.files = t.Clone(), tlsFiles{} }, setCA, setCert, setKey, setNoVerify)
}

// WithConnectTimeout sets how long one attempt to connect may take. Calls end with their
// contexts, whatever it is. The default is [DefaultConnectTimeout].
func WithConnectTimeout(d time.Duration) Option {
	return own("WithConnectTimeout", func(c *config) { c.connectTimeout = d }, setConnectTimeout)
}

// WithKeepAlive sets after which silence a connection is asked whether it is alive, and
// how long it may take to answer: how soon a watch finds out that its peer has gone
// without a word. etcd closes connections that ask more often than its
// --grpc-keepalive-min-time, 5 s. The defaults are [DefaultKeepAliveTime] and
// [DefaultKeepAliveTimeout].
func WithKeepAlive(silence, timeout time.Duration) Option {
	return own("WithKeepAlive", func(c *config) { c.keepAliveTime, c.keepAliveTimeout = silence, timeout }, setKeepAliveTime, setKeepAliveTimeout)
}

// WithDialer sets how to connect to an address: through a proxy, or in memory. The
// default is TCP.
func WithDialer(dial func(ctx context.Context, address string) (net.Conn, error)) Option {
	return own("WithDialer", func(c *config) { c.dialer = dial })
}
