// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// endpoint is where requests go.
type endpoint struct {
	scheme, host, prefix string
	socket               string // the path of a Unix socket, if it is one
	explicit             bool   // the address named its scheme
}

func (e endpoint) String() string {
	if e.socket != "" {
		return "unix://" + e.socket
	}
	return e.scheme + "://" + e.host + e.prefix
}

// endpoint makes sense of the address.
func (c *config) endpoint() endpoint {
	e := endpoint{scheme: "http"}
	scheme, rest, found := strings.Cut(c.address, "://")
	if !found {
		scheme, rest = "", c.address
	}
	e.host, e.prefix, _ = strings.Cut(rest, "/")
	if e.prefix = strings.TrimRight(e.prefix, "/"); e.prefix != "" {
		e.prefix = "/" + e.prefix
	}
	switch scheme {
	case "unix":
		e.host, e.prefix, e.socket = "localhost", "", rest
		if rest == "" {
			c.failAddress(`name a socket after "unix://"`)
		}
	case "http", "https":
		e.scheme, e.explicit = scheme, true
	case "":
	default:
		c.failAddress(`be host:port, or begin with http://, https:// or unix://`)
	}
	if c.ssl {
		e.scheme = "https"
	}
	if u, err := url.Parse(e.scheme + "://" + e.host); err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.failAddress("name a host, and nothing but that: a user goes into " + setAuth)
	}
	c.checkPlain(e)
	return e
}

func (c *config) failAddress(rule string) {
	c.fail("address %q: must %s (from %s)", withoutPassword(c.address), rule, c.source(setAddress))
}

// checkPlain wants it to be said if a secret is to leave the host in plain text.
func (c *config) checkPlain(e endpoint) {
	secret := c.token != "" || c.tokenFile != "" || c.auth != ""
	asked := e.explicit || c.source(setSSL) != sourceDefault
	if e.scheme == "http" && secret && !asked && e.socket == "" && c.transport == nil && !isLoopback(e.host) {
		c.fail("address %q (from %s): a token would go there in plain text: set %s or, if that is meant, begin the address with http://", c.address, c.source(setAddress), api.HTTPSSLEnvName)
	}
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

// withoutPassword hides what an address says before its host.
func withoutPassword(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		scheme, _, found := strings.Cut(address[:i], "://")
		if !found {
			return "(hidden)" + address[i:]
		}
		return scheme + "://(hidden)" + address[i:]
	}
	return address
}

func (c *config) basicAuth() *api.HttpBasicAuth {
	if c.auth == "" {
		return nil
	}
	user, password, _ := strings.Cut(c.auth, ":")
	return &api.HttpBasicAuth{Username: user, Password: password}
}

// The limits of connections. Requests have none of their own: one that waits for a
// change takes as long as it waits.
const (
	dialTimeout = 5 * time.Second
	idleTimeout = 90 * time.Second
	pingAfter   = 15 * time.Second
)

func (c *config) newTransport(e endpoint) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: pingAfter}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
		MaxIdleConns: 100, MaxIdleConnsPerHost: 16, IdleConnTimeout: idleTimeout,
		ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: dialTimeout},
	}
	if e.socket != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", e.socket)
		}
	}
	if c.tls != nil {
		t.TLSClientConfig = c.tls.Clone()
		return t
	}
	cfg, err := api.SetupTLSConfig(&api.TLSConfig{
		Address: c.tlsServerName, CAFile: c.caFile, CAPath: c.caPath, CertFile: c.certFile, KeyFile: c.keyFile, InsecureSkipVerify: !c.verify,
	})
	if err != nil {
		c.fail("TLS: %w", err)
	}
	t.TLSClientConfig = cfg
	return t
}

// gate is what every request goes through, and decides what it carries.
type gate struct {
	next http.RoundTripper
	cfg  *config
}

// RoundTrip implements [http.RoundTripper].
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := g.token()
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as a RoundTripper has to
		}
		return nil, err
	}
	out := req.Clone(req.Context())
	setOrDelete(out.Header.Set, out.Header.Del, "X-Consul-Token", token)
	query := out.URL.Query()
	setOrDelete(query.Set, query.Del, "ns", cmp.Or(namespaceOf(req.Context()), g.cfg.namespace))
	setOrDelete(query.Set, query.Del, "partition", g.cfg.partition)
	out.URL.RawQuery = query.Encode()
	return g.next.RoundTrip(out)
}

func setOrDelete(set func(key, value string), del func(key string), key, value string) {
	if value == "" {
		del(key)
		return
	}
	set(key, value)
}

func (g *gate) token() (string, error) {
	if g.cfg.tokenFile == "" {
		return g.cfg.token, nil
	}
	text, err := os.ReadFile(g.cfg.tokenFile)
	if err != nil {
		return "", fmt.Errorf("consul: token file (from %s): %w", g.cfg.source(setTokenFile), err)
	}
	return strings.TrimSpace(string(text)), nil
}

// namespaceKey is for the Consul namespace of a request.
type namespaceKey struct{}

// within sets the Consul namespace of requests with this context.
func within(ctx context.Context, namespace string) context.Context {
	if namespace == "" {
		return ctx
	}
	return context.WithValue(ctx, namespaceKey{}, namespace)
}

func namespaceOf(ctx context.Context) string {
	namespace, _ := ctx.Value(namespaceKey{}).(string)
	return namespace
}
