// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// The registries there are.
const (
	Memory = "memory"
	Consul = "consul"
	Etcd   = "etcd"
)

var kinds = []string{Memory, Consul, Etcd}

// Check returns an error if there is no such registry.
func Check(kind string) error {
	if !slices.Contains(kinds, kind) {
		return fmt.Errorf("registries: %q: must be one of %s", kind, strings.Join(kinds, ", "))
	}
	return nil
}

// Registry is a registry that is open. It must be closed, after all that use it.
type Registry struct {
	// Catalog is the registry, which is a [discovery.Backend].
	Catalog discovery.Catalog
	// Where says what it is and where, for people.
	Where string
	// Env are the variables by which another process opens the same one.
	Env []string

	client io.Closer // nil: nothing to close
	server *server   // nil: not ours
}

// Open opens a registry, and starts its server if nobody says where there is one. It
// tells on say what takes long.
func Open(ctx context.Context, kind string, say io.Writer) (*Registry, error) {
	switch kind {
	case Memory:
		return &Registry{Catalog: memory.New(), Where: "memory, in this process"}, nil
	case Consul:
		return openConsul(ctx)
	case Etcd:
		return openEtcd(ctx, say)
	default:
		return nil, Check(kind)
	}
}

func openConsul(ctx context.Context) (*Registry, error) {
	r := &Registry{}
	where := os.Getenv(consulVariable)
	if where == "" {
		var err error
		if r.server, where, err = startConsul(ctx); err != nil {
			return nil, err
		}
		r.Env = []string{consulVariable + "=" + where}
	}
	backend, err := consul.FromEnv(settings(r.Env))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.Catalog, r.client, r.Where = backend, backend, describe(Consul, where, r.server)
	return r, nil
}

func openEtcd(ctx context.Context, say io.Writer) (*Registry, error) {
	r := &Registry{}
	where := ""
	for _, variable := range etcdVariables {
		if where == "" {
			where = os.Getenv(variable)
		}
	}
	if where == "" {
		var err error
		if r.server, where, err = startEtcd(ctx, say); err != nil {
			return nil, err
		}
		r.Env = []string{etcdVariables[0] + "=" + where}
	}
	backend, err := etcd.FromEnv(settings(r.Env))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.Catalog, r.client, r.Where = backend, backend, describe(Etcd, where, r.server)
	return r, nil
}

// settings are those of the environment with env before it.
func settings(env []string) *discovery.Settings {
	return discovery.NewSettings(func(name string) (string, bool) {
		for _, variable := range env {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value, true
			}
		}
		return os.LookupEnv(name)
	})
}

func describe(kind, where string, s *server) string {
	if s == nil {
		return kind + " at " + where
	}
	return fmt.Sprintf("%s at %s, started for this run", kind, where)
}

// ErrNotOurs says that a registry is not this program's to end.
var ErrNotOurs = errors.New("registries: the registry was not started by this program")

// Outage takes the registry away for a time, or until ctx ends: a server is killed,
// without a chance to say good-bye, and started again. It fails with [ErrNotOurs] if
// somebody else runs it.
func (r *Registry) Outage(ctx context.Context, d time.Duration) error {
	switch registry, inMemory := r.Catalog.(*memory.Registry); {
	case inMemory:
		registry.Faults().Down(true)
		defer registry.Faults().Down(false)
		wait(ctx, d)
		return nil
	case r.server == nil:
		return ErrNotOurs
	}
	if err := r.server.kill(); err != nil {
		return err
	}
	wait(ctx, d)
	return r.server.start(context.WithoutCancel(ctx))
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Close closes the registry, and stops its server if it was started for it.
func (r *Registry) Close() error {
	var errs []error
	if r.client != nil {
		errs = append(errs, r.client.Close())
	}
	if r.server != nil {
		errs = append(errs, r.server.close())
	}
	return errors.Join(errs...)
}
