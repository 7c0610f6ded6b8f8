// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
)

// Registry is a registry in etcd. Use [New], [FromEnv], [FromSettings] or
// [NewWithClient]. It is safe for concurrent use. It makes single calls: the loops are
// those of a [discovery.Registrar] and a [discovery.Watcher].
type Registry struct {
	client   *clientv3.Client
	owned    bool
	keys     keyspace
	session  *session // nil without a user, and with a client that was given
	settings []discovery.Setting

	kv      pb.KVClient
	lease   pb.LeaseClient
	cluster pb.ClusterClient

	mu      sync.Mutex
	watcher clientv3.Watcher // of all watches that begin now
}

var (
	_ discovery.Backend   = (*Registry)(nil)
	_ discovery.Inspector = (*Registry)(nil)
	_ discovery.Sweeper   = (*Registry)(nil)
)

// New returns a registry with a client of its own, which [Registry.Close] closes. It
// asks etcd nothing: a process starts whether its registry is there or not. It fails on
// options that make no sense; the error names each.
func New(opts ...Option) (*Registry, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := newSession(cfg.user, cfg.password)
	client, err := clientv3.New(cfg.client(s))
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return newRegistry(client, true, cfg, s), nil
}

// FromEnv is [FromSettings] with the environment of the process, and no file.
func FromEnv(opts ...Option) (*Registry, error) {
	return FromSettings(discovery.NewSettings(os.LookupEnv), opts...)
}

// FromSettings is [New] with what an environment and a configuration file say; the
// package's documentation lists the settings. Options win over both. The values that
// took effect, and where they came from, are in [Registry.Settings].
func FromSettings(s *discovery.Settings, opts ...Option) (*Registry, error) {
	found, err := settingsOptions(s)
	if err != nil {
		return nil, err
	}
	r, err := New(append(found, opts...)...)
	if err != nil {
		return nil, err
	}
	r.settings = s.All()
	return r, nil
}

// NewWithClient returns a registry that uses a client which somebody else made and
// closes. Options about connections are refused. How soon such a client notices a dead
// peer and finds its way back, and what it logs, are its maker's choice; [New] shows in
// its documentation what they should be.
func NewWithClient(client *clientv3.Client, opts ...Option) (*Registry, error) {
	if client == nil {
		return nil, errors.New("etcd: NewWithClient: nil client")
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if len(cfg.connection) > 0 {
		return nil, fmt.Errorf("etcd: %s: must not be set with a client that has its connections", cfg.connection[0])
	}
	return newRegistry(client, false, cfg, nil), nil
}

func newRegistry(client *clientv3.Client, owned bool, cfg config, s *session) *Registry {
	conn := client.ActiveConnection()
	return &Registry{
		client: client, owned: owned, keys: keyspace{cfg.prefix}, session: s,
		kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn), cluster: pb.NewClusterClient(conn),
		watcher: newWatcher(client),
	}
}

// Settings returns the values that took effect and where they came from, without
// secrets; nil if the registry was not made from settings.
func (r *Registry) Settings() []discovery.Setting { return r.settings }

// Client returns the client, for what this package does not do.
func (r *Registry) Client() *clientv3.Client { return r.client }

// Close closes the client, unless it was given. Registrations stay until their time to
// live ends them: deregister first. Watches end with an error. It can be called twice.
func (r *Registry) Close() error {
	if !r.owned {
		return nil
	}
	if err := r.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// Registration implements [discovery.Registry].
func (r *Registry) Registration(in discovery.Instance) (discovery.Registration, error) {
	n, err := in.Normalized()
	if err != nil {
		return nil, err
	}
	return &registration{r: r, in: n, key: r.keys.key(n.Key())}, nil
}

// Watch implements [discovery.Catalog]. It asks etcd nothing yet.
func (r *Registry) Watch(_ context.Context, q discovery.Query) (discovery.Source, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return newSource(r, q), nil
}
