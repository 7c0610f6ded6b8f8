// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/static"
	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/registries"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// premises are a shop that is open, with all that it needs around it.
type premises struct {
	dir       string // of the databases
	namespace discovery.Namespace
	registry  *registries.Registry
	shop      app.Shop
	directory *report.Directory
	log       io.Closer // nil: none
}

// open opens the registry and starts the services, in this process or in processes of
// their own.
func open(ctx context.Context, o options, dir string, out io.Writer) (_ *premises, err error) {
	if o.namespace == "" {
		// Two shops in the same registry must not find each other: their databases differ.
		o.namespace = "shop-" + strings.ToLower(rand.Text()[:8])
	}
	p := &premises{dir: dir, namespace: discovery.Namespace(o.namespace)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	log, err := o.openLog()
	if err != nil {
		return nil, err
	}
	cfg := o.config(dir, nil)
	if log != nil {
		p.log, cfg.Log = log, log
	}
	if p.registry, err = registries.Open(ctx, o.registry, out); err != nil {
		return nil, err
	}
	if !o.processes || o.registry != registries.Memory {
		cfg.Registry = p.registry.Catalog
	}
	if !o.processes {
		p.shop, err = app.Start(ctx, cfg)
	} else {
		var self string
		if self, err = os.Executable(); err != nil {
			return nil, err
		}
		p.shop, err = app.StartProcesses(ctx, cfg, o.command(self, dir, p.registry.Env))
	}
	if err != nil {
		return nil, err
	}
	if cfg.Registry == nil { // processes that share none
		p.registry.Where = "none that processes share: each is told where the others are"
		if cfg.Registry, err = p.addresses(); err != nil {
			return nil, err
		}
	}
	p.directory, err = report.NewDirectory(ctx, cfg.Registry, p.namespace, app.Scalable(), cfg.Watching()...)
	return p, err
}

// addresses returns a catalog of what runs now.
func (p *premises) addresses() (discovery.Catalog, error) {
	var all []discovery.Instance
	for _, i := range p.shop.Instances() {
		if a := address(i); a != "" {
			all = append(all, discovery.Instance{Namespace: p.namespace, Service: i.Name, Address: a})
		}
	}
	return static.New(all...)
}

// join opens the registry that the parent of this process has opened.
func (o options) join(ctx context.Context) (*registries.Registry, error) {
	if o.registry == registries.Memory {
		peers, err := static.Parse(discovery.Namespace(o.namespace), o.peers)
		return &registries.Registry{Catalog: peers}, err
	}
	return registries.Open(ctx, o.registry, os.Stderr)
}

// where says where the services find each other.
func (p *premises) where() string { return p.registry.Where + ", environment " + string(p.namespace) }

// close ends all of it, in the order that lets everybody finish.
func (p *premises) close(ctx context.Context) error {
	var errs []error
	if p.directory != nil {
		errs = append(errs, p.directory.Close())
	}
	if p.shop != nil {
		errs = append(errs, p.shop.Stop(ctx))
	}
	if p.registry != nil {
		errs = append(errs, p.registry.Close())
	}
	if p.log != nil {
		errs = append(errs, p.log.Close())
	}
	return errors.Join(errs...)
}
