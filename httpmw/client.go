// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The numbers of [NewClient].
const (
	// DefaultTimeout is how long a whole call may take, body included.
	DefaultTimeout = 15 * time.Second
	// DefaultDialTimeout is how long making a connection may take.
	DefaultDialTimeout = 3 * time.Second
	// DefaultTLSHandshakeTimeout is how long the handshake on it may take.
	DefaultTLSHandshakeTimeout = 5 * time.Second
	// DefaultResponseHeaderTimeout is how long the headers of an answer may take.
	DefaultResponseHeaderTimeout = 10 * time.Second
	// DefaultClientIdleTimeout is how long an idle connection is kept.
	DefaultClientIdleTimeout = 20 * time.Second
	// DefaultMaxIdleConnsPerHost is how many idle connections are kept for a host.
	DefaultMaxIdleConnsPerHost = 100
	// DefaultMaxConnsPerHost is how many connections a host gets at most.
	DefaultMaxConnsPerHost = 256
	// DefaultMaxRedirects is how many redirects one call follows.
	DefaultMaxRedirects = 5
)

const (
	expectContinueTimeout = time.Second
	// A connection that has been silent for pingAfter is asked whether it is
	// alive, and closed if it does not say so within pingTimeout. Without that
	// HTTP/2 keeps sending on a connection that a firewall has forgotten.
	pingAfter   = 10 * time.Second
	pingTimeout = 5 * time.Second
	// idleHosts is for how many hosts a client keeps full idle pools.
	idleHosts = 10
)

// ErrPlaintext is what a request to an http:// URL fails with, if the client was
// made without [WithPlaintext]. Nothing has been sent then.
var ErrPlaintext = errors.New("plain http refused")

// ClientOption is an option of [NewClient].
type ClientOption interface{ applyClient(*clientConfig) }

type clientConfig struct {
	endpoint
	timeout               time.Duration
	noTimeout             bool
	dialTimeout           time.Duration
	tlsHandshakeTimeout   time.Duration
	responseHeaderTimeout time.Duration
	maxIdleConnsPerHost   int
	maxConnsPerHost       int
	maxRedirects          int
	proxy                 func(*http.Request) (*url.URL, error)
	dial                  dialFunc
	transports            []Transport
	fallbacks             []Transport
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

type clientOption func(*clientConfig)

func (o clientOption) applyClient(c *clientConfig) { o(c) }

// WithTimeout bounds a whole call: connecting, redirects, and reading the body of
// the answer to its end. [DefaultTimeout] if it is left out. The deadline of the
// request's context holds as well; the earlier one wins.
func WithTimeout(d time.Duration) ClientOption {
	return clientOption(func(c *clientConfig) { c.timeout, c.noTimeout = d, false })
}

// WithoutTimeout leaves the whole call unbounded, for event streams and long
// downloads; the time to connect and to get the headers stays bounded. Give each
// call a context that ends.
func WithoutTimeout() ClientOption {
	return clientOption(func(c *clientConfig) { c.noTimeout = true })
}

// WithDialTimeout bounds making a connection, name lookup included;
// [DefaultDialTimeout] if it is left out.
func WithDialTimeout(d time.Duration) ClientOption {
	return clientOption(func(c *clientConfig) { c.dialTimeout = d })
}

// WithTLSHandshakeTimeout bounds the TLS handshake of a new connection;
// [DefaultTLSHandshakeTimeout] if it is left out.
func WithTLSHandshakeTimeout(d time.Duration) ClientOption {
	return clientOption(func(c *clientConfig) { c.tlsHandshakeTimeout = d })
}

// WithResponseHeaderTimeout bounds the time from the end of a request to the
// headers of its answer; [DefaultResponseHeaderTimeout] if it is left out.
func WithResponseHeaderTimeout(d time.Duration) ClientOption {
	return clientOption(func(c *clientConfig) { c.responseHeaderTimeout = d })
}

// WithMaxIdleConnsPerHost sets how many idle connections are kept for one host;
// at least 1, [DefaultMaxIdleConnsPerHost] if it is left out. (net/http keeps 2:
// under load nearly every call would connect anew.) Over all hosts ten times as
// many are kept.
func WithMaxIdleConnsPerHost(n int) ClientOption {
	return clientOption(func(c *clientConfig) { c.maxIdleConnsPerHost = n })
}

// WithMaxConnsPerHost bounds the connections to one host, busy ones included; a
// call past it waits for one until its deadline. It is not less than the idle
// connections kept; [DefaultMaxConnsPerHost] if it is left out.
func WithMaxConnsPerHost(n int) ClientOption {
	return clientOption(func(c *clientConfig) { c.maxConnsPerHost = n })
}

// WithMaxRedirects sets how many redirects a call follows; [DefaultMaxRedirects]
// if it is left out. With 0 none is followed, and the caller gets the redirect
// as the answer.
func WithMaxRedirects(n int) ClientOption {
	return clientOption(func(c *clientConfig) { c.maxRedirects = n })
}

// WithProxy sets the function that picks a proxy, as in [http.Transport]. If it
// is left out, or nil, no proxy is used: an HTTP_PROXY that happens to be in the
// environment is not a reason to send the calls between our services through it.
// Those who want that say WithProxy(http.ProxyFromEnvironment).
func WithProxy(proxy func(*http.Request) (*url.URL, error)) ClientOption {
	return clientOption(func(c *clientConfig) { c.proxy = proxy })
}

// WithDialContext sets how a connection is made, in place of a [net.Dialer]; nil
// means the dialer. The dial timeout is on ctx. It must be safe for concurrent use.
func WithDialContext(dial func(ctx context.Context, network, addr string) (net.Conn, error)) ClientOption {
	return clientOption(func(c *clientConfig) { c.dial = dial })
}

// WithTransports puts ts around the connection pool as [ChainTransport] does:
// the first one sees a request first. They run once for each request of a call,
// redirects included. Several uses add up. This is where the records and the
// policies of the service go:
//
//	httpmw.WithTransports(
//		httpmw.RecordTransport(rec, "payment"),
//		httpmw.DeadlineTransport(budget),
//		httpmw.PoliciesTransport(set.Service("payment")),
//		httpmw.AttemptTransport(rec))
func WithTransports(ts ...Transport) ClientOption {
	return clientOption(func(c *clientConfig) { c.transports = append(c.transports, ts...) })
}

// WithFallbacks adds transports of [FallbackTransport], the first one outermost, in
// their place: below the first of [WithTransports], which is the record, and above all
// others, whatever the order of the options. Several uses add up.
func WithFallbacks(ts ...Transport) ClientOption {
	return clientOption(func(c *clientConfig) { c.fallbacks = append(c.fallbacks, ts...) })
}

// chain returns all transports in their order.
func (c *clientConfig) chain() []Transport {
	return slices.Insert(slices.Clone(c.transports), min(1, len(c.transports)), c.fallbacks...)
}

// NewClient returns a client for the one downstream service called name, with a
// connection pool of its own, every timeout set, and no other traffic than what
// was asked for: http:// URLs fail with [ErrPlaintext] unless [WithPlaintext]
// allows them, the proxy environment is not read, and redirects are followed as
// [ErrRedirect] tells. The name, 1 to 64 of [A-Za-z0-9._-], stands in its errors.
//
// Make one for each downstream service, third parties above all: clients share no
// connections, so that a service which is slow can only use up its own. What else
// can be used up (attempts, slots, tokens) is bounded by the policies that come with
// [WithTransports]; without them, a request is sent once and nothing stops it.
//
// A client is safe for concurrent use and made once, not for each call;
// CloseIdleConnections empties its pool.
func NewClient(name string, opts ...ClientOption) (*http.Client, error) {
	c := clientConfig{
		endpoint:              endpoint{idleTimeout: DefaultClientIdleTimeout, maxHeaderBytes: DefaultMaxHeaderBytes},
		timeout:               DefaultTimeout,
		dialTimeout:           DefaultDialTimeout,
		tlsHandshakeTimeout:   DefaultTLSHandshakeTimeout,
		responseHeaderTimeout: DefaultResponseHeaderTimeout,
		maxIdleConnsPerHost:   DefaultMaxIdleConnsPerHost,
		maxConnsPerHost:       DefaultMaxConnsPerHost,
		maxRedirects:          DefaultMaxRedirects,
	}
	for _, o := range opts {
		o.applyClient(&c)
	}
	if c.noTimeout {
		c.timeout = 0
	}
	if err := c.validate(name); err != nil {
		return nil, fmt.Errorf("httpmw: NewClient: %w", err)
	}
	pool := c.pool()
	guard := &egressGuard{next: pool, name: name, plaintext: c.plaintext}
	return &http.Client{
		Transport:     &pooledTransport{RoundTripper: ChainTransport(guard, c.chain()...), pool: pool},
		Timeout:       c.timeout,
		CheckRedirect: checkRedirect(name, c.maxRedirects),
	}, nil
}

func (c *clientConfig) validate(name string) error {
	errs := []error{
		c.check(),
		positive("DialTimeout", c.dialTimeout),
		positive("TLSHandshakeTimeout", c.tlsHandshakeTimeout),
		positive("ResponseHeaderTimeout", c.responseHeaderTimeout),
	}
	if !isName(name) {
		errs = append(errs, fmt.Errorf("name %q: must be 1 to 64 of [A-Za-z0-9._-]", name))
	}
	if !c.noTimeout {
		errs = append(errs, positive("Timeout", c.timeout))
	}
	if c.maxIdleConnsPerHost < 1 {
		errs = append(errs, fmt.Errorf("MaxIdleConnsPerHost %d: must be at least 1", c.maxIdleConnsPerHost))
	}
	if c.maxConnsPerHost < c.maxIdleConnsPerHost {
		errs = append(errs, fmt.Errorf("MaxConnsPerHost %d: must not be below the MaxIdleConnsPerHost of %d", c.maxConnsPerHost, c.maxIdleConnsPerHost))
	}
	if c.maxRedirects < 0 {
		errs = append(errs, fmt.Errorf("MaxRedirects %d: must not be negative", c.maxRedirects))
	}
	for i, t := range c.transports {
		if t == nil {
			errs = append(errs, fmt.Errorf("Transports[%d]: must not be nil", i))
		}
	}
	for i, t := range c.fallbacks {
		if t == nil {
			errs = append(errs, fmt.Errorf("Fallbacks[%d]: must not be nil", i))
		}
	}
	return errors.Join(errs...)
}

func isName(s string) bool {
	for i := range len(s) {
		b := s[i]
		alnum := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
		if !alnum && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

func (c *clientConfig) pool() *http.Transport {
	t := &http.Transport{
		Proxy:                  c.proxy,
		DialContext:            c.dialContext(),
		TLSClientConfig:        c.tlsConfig(),
		TLSHandshakeTimeout:    c.tlsHandshakeTimeout,
		ResponseHeaderTimeout:  c.responseHeaderTimeout,
		ExpectContinueTimeout:  expectContinueTimeout,
		IdleConnTimeout:        c.idleTimeout,
		MaxIdleConns:           idleHosts * c.maxIdleConnsPerHost,
		MaxIdleConnsPerHost:    c.maxIdleConnsPerHost,
		MaxConnsPerHost:        c.maxConnsPerHost,
		MaxResponseHeaderBytes: int64(c.maxHeaderBytes),
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!c.h2c)
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(c.h2c)
	return t
}

func (c *clientConfig) dialContext() dialFunc {
	if c.dial == nil {
		return (&net.Dialer{Timeout: c.dialTimeout}).DialContext
	}
	dial, timeout := c.dial, c.dialTimeout
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return dial(ctx, network, addr)
	}
}

// pooledTransport lets http.Client.CloseIdleConnections reach the pool through
// transports that do not know of it.
type pooledTransport struct {
	http.RoundTripper
	pool *http.Transport
}

func (t *pooledTransport) CloseIdleConnections() { t.pool.CloseIdleConnections() }

// egressGuard is the last one before the pool, so that no transport above it can
// turn a refused URL into an allowed one or add a header that must not leave,
// and all of them see the refusal.
type egressGuard struct {
	next      http.RoundTripper
	name      string
	plaintext bool
}

func (g *egressGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL != nil && r.URL.Scheme == "http" && !g.plaintext {
		if r.Body != nil {
			_ = r.Body.Close() // the contract of http.RoundTripper, on errors too
		}
		return nil, fmt.Errorf("httpmw: client %q: %w", g.name, ErrPlaintext)
	}
	if isAway(r.Context()) {
		r = r.Clone(r.Context())
		stripHeaders(r.Header)
	}
	return g.next.RoundTrip(r)
}
