// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
)

// Backend is etcd. Use [New], [FromEnv] or [NewWithClient]. It is safe for concurrent
// use. It makes single calls: the loops are those of a [discovery.Registrar] and a
// [discovery.Watcher].
type Backend struct {
	cfg     *config
	client  *clientv3.Client
	owned   bool
	keys    keyspace
	session *session // nil without a user, and with a client that was given

	kv      pb.KVClient
	lease   pb.LeaseClient
	cluster pb.ClusterClient
	hub     *hub
}

var (
	_ discovery.Backend   = (*Backend)(nil)
	_ discovery.Inspector = (*Backend)(nil)
	_ discovery.Sweeper   = (*Backend)(nil)
)

// New returns a back end with these options, and nothing from the environment. It has a
// client of its own, which [Backend.Close] closes. It asks etcd nothing: a process starts
// whether its registry is there or not. It fails on values that make no sense; the error
// names each.
func New(opts ...Option) (*Backend, error) { return newBackend(defaultConfig(), opts) }

func newBackend(c *config, opts []Option) (*Backend, error) {
	for _, o := range opts {
		o.apply(c)
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := newSession(c.user, c.password)
	client, err := clientv3.New(c.client(s))
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	b := withClient(c, client)
	b.owned, b.session = true, s
	return b, nil
}

// NewWithClient returns a back end that uses a client which somebody else made and
// closes. Options about connections are refused. How soon such a client notices a peer
// that has gone without a word and finds its way back, and what it logs, is up to its
// maker.
func NewWithClient(client *clientv3.Client, opts ...Option) (*Backend, error) {
	if client == nil {
		return nil, errors.New("etcd: NewWithClient: nil client")
	}
	c := defaultConfig()
	c.set(func(c *config) { c.endpoints = client.Endpoints() }, setEndpoints)
	for _, o := range opts {
		o.apply(c)
	}
	if c.own != "" {
		return nil, fmt.Errorf("etcd: %s: must not be used with a client that has its connections", c.own)
	}
	if err := checkPrefix(c.prefix); err != nil {
		return nil, err
	}
	return withClient(c, client), nil
}

func withClient(c *config, client *clientv3.Client) *Backend {
	conn := client.ActiveConnection()
	return &Backend{
		cfg: c, client: client, keys: keyspace{c.prefix},
		kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn), cluster: pb.NewClusterClient(conn),
		hub: newHub(pb.NewWatchClient(conn)),
	}
}

// Settings returns the effective settings, and where each came from: a variable, a place
// in a file, an option or the default. Secrets are not shown. With a client that was
// given, only the endpoints and the prefix are known.
func (b *Backend) Settings() []discovery.Setting {
	if !b.owned {
		return b.cfg.given()
	}
	return b.cfg.settings()
}

// String returns the endpoints.
func (b *Backend) String() string { return "etcd at " + strings.Join(b.client.Endpoints(), ", ") }

// Client returns the client, for what this package does not do.
func (b *Backend) Client() *clientv3.Client { return b.client }

// Close closes the client, unless it was given. Registrations stay until their time to
// live ends them: deregister first. Watches end with an error. It can be called more than
// once.
func (b *Backend) Close() error {
	if !b.owned {
		return nil
	}
	if err := b.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// Registration implements [discovery.Registry].
func (b *Backend) Registration(in discovery.Instance) (discovery.Registration, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	return &registration{b: b, in: n, key: b.keys.key(n.Key())}, nil
}

// Watch implements [discovery.Catalog]. It asks etcd nothing yet.
func (b *Backend) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return newSource(b, q), nil
}
