// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// Backend is Consul, through one of its agents. Use [New] or [FromEnv]. It is safe for
// concurrent use, and starts no goroutine; connections that are idle have theirs until
// [Backend.Close].
type Backend struct {
	naming
	cfg    *config
	client *api.Client
	where  string // the address as errors name it
	idle   *http.Transport
}

var (
	_ discovery.Backend   = (*Backend)(nil)
	_ discovery.Inspector = (*Backend)(nil)
	_ discovery.Sweeper   = (*Backend)(nil)
)

// New returns a back end with these options, and nothing from the environment. It fails
// on values that make no sense; the error names each. It does not ask Consul anything: an
// agent that is not there yet is no error.
func New(opts ...Option) (*Backend, error) { return newBackend(defaultConfig(), opts) }

func newBackend(c *config, opts []Option) (*Backend, error) {
	for _, o := range opts {
		o.apply(c)
	}
	b := &Backend{naming: naming{c.native}, cfg: c}
	e := c.endpoint()
	transport := c.transport
	if transport == nil {
		b.idle = c.newTransport(e)
		transport = b.idle
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	b.where = e.String()
	client, err := api.NewClient(&api.Config{
		Address: e.scheme + "://" + e.host + e.prefix, Scheme: e.scheme,
		HttpAuth: c.basicAuth(), HttpClient: &http.Client{
			Transport: &gate{next: transport, cfg: c},
			// A redirect would take the token along.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// What is not set here, NewClient takes from the environment, up to a file that
		// has to be readable. The gate decides what is sent.
		Token: "decided by the gate",
	})
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	b.client = client
	return b, nil
}

// Settings returns the effective settings, and where each came from: a variable, a place
// in a file, an option or the default. Secrets are not shown.
func (b *Backend) Settings() []discovery.Setting { return b.cfg.settings() }

// String returns the address.
func (b *Backend) String() string { return "consul at " + b.where }

// Close closes connections that nobody uses. Registrations and watches are not ended by
// it. It can be called more than once. A transport of the caller's is left alone.
func (b *Backend) Close() error {
	if b.idle != nil {
		b.idle.CloseIdleConnections()
	}
	return nil
}

// options returns those of one request about an environment.
func (b *Backend) options(ctx context.Context, ns discovery.Namespace) *api.QueryOptions {
	return (&api.QueryOptions{}).WithContext(within(ctx, b.namespace(ns)))
}
