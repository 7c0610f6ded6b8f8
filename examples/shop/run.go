// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/churn"
	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

const (
	// stopTimeout bounds how long the shop finishes what it has begun.
	stopTimeout = 30 * time.Second
	// afterglow is how long after the last answer its last spans are waited for.
	afterglow = 500 * time.Millisecond
)

// run opens the shop, sends customers, and shows what happened, on out.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir := o.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "shop-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	p, err := open(ctx, o, dir, out)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err = errors.Join(err, p.close(ctx))
		if err == nil {
			say(out, "the shop is closed\n")
		}
	}()

	traces := report.NewKeeper(p.shop.Traces())
	server, err := app.ServeTraces(ctx, traces, p.shop.News())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	welcome(out, o, p, server.URL)

	// A service that ends by itself ends the run.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		select {
		case err := <-p.shop.Ended():
			cancel(err)
		case <-ctx.Done():
		}
	})
	if err := serveCustomers(ctx, o, p, newWatcher(p.shop, traces), out); err != nil {
		return err
	}
	showTraces(out, traces)
	if o.stay && ctx.Err() == nil {
		say(out, "\nopen until Ctrl-C\n")
		<-ctx.Done()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// serveCustomers makes the requests and shows how it goes.
func serveCustomers(ctx context.Context, o options, p *premises, watch *watcher, out io.Writer) error {
	cfg := o.load
	for _, i := range p.shop.Instances() {
		if i.Name == app.Gateway {
			cfg.Gateway = "http://" + i.Addresses.HTTP
		}
	}
	resolvers, err := grpcresolver.New("registry", p.directory.Watcher())
	if err != nil {
		return err
	}
	cfg.Order, cfg.Dial = "registry:///"+app.Order, []grpc.DialOption{
		grpc.WithResolvers(resolvers), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	}
	stats := load.NewStats()
	customers, err := load.New(cfg, stats)
	if err != nil {
		return err
	}
	whole := context.WithoutCancel(ctx) // to the end, even after Ctrl-C
	look := func(s load.Snapshot) []string { return watch.look(whole, s) }
	showing, stop := context.WithCancel(whole)
	var progress sync.WaitGroup
	progress.Go(func() { report.Progress(showing, out, stats.Snapshot, look) })
	trouble := p.trouble(ctx, o)
	err = customers.Run(ctx)
	err = errors.Join(err, trouble.end())
	time.Sleep(afterglow)
	stop()
	progress.Wait()
	watch.finish(whole, stats.Snapshot())
	showPolicies(whole, out, p.shop, trouble.past, stats.Snapshot())
	showDiscovery(out, p, trouble.churn.Events(), stats.Snapshot())
	return errors.Join(err, showBooks(whole, out, p.dir))
}

// trouble is what goes on besides the load.
type trouble struct {
	churn  *churn.Churn
	past   report.Policies // of instances that have ended
	stop   context.CancelFunc
	doing  sync.WaitGroup
	outage error
}

// outageAfter is how long the load runs until the registry goes away.
const outageAfter = time.Second

// trouble begins to replace instances, and to take the registry away, if that is asked
// for.
func (p *premises) trouble(ctx context.Context, o options) *trouble {
	t := &trouble{}
	ctx, t.stop = context.WithCancel(ctx)
	services := make([]string, 0, len(o.scale))
	for _, name := range app.Scalable() {
		if o.scale[name] > 0 {
			services = append(services, name)
		}
	}
	t.churn = churn.New(p.shop, o.churn, churn.Hooks{Farewell: t.remember, Await: func(ctx context.Context, i app.Instance) error {
		return p.directory.Await(ctx, i.Name, address(i))
	}}, services...)
	if o.churn > 0 && len(services) > 0 {
		t.doing.Go(func() { t.churn.Run(ctx) })
	}
	if o.outage > 0 {
		t.doing.Go(func() {
			select {
			case <-time.After(outageAfter):
				t.outage = p.registry.Outage(ctx, o.outage)
			case <-ctx.Done():
			}
		})
	}
	return t
}

// remember keeps what the policies of an instance did that is about to end. What it
// serves while it ends is not in it.
func (t *trouble) remember(ctx context.Context, i app.Instance) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTimeout)
	defer cancel()
	if p, err := readPolicies(ctx, i); err == nil {
		t.past.Add(p)
	}
}

// end ends it, and returns what went wrong that was not meant to.
func (t *trouble) end() error {
	t.stop()
	t.doing.Wait()
	errs := []error{t.outage}
	for _, e := range t.churn.Events() {
		errs = append(errs, e.Err)
	}
	return errors.Join(errs...)
}

// runChild is run for a process that -processes has started.
func runChild(o options) (err error) {
	// Ctrl-C reaches every process of the terminal, but who stops when is the
	// parent's to say.
	signal.Ignore(os.Interrupt)
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer release()
	var log io.Writer
	if o.log != "" {
		log = os.Stdout // the parent writes it where it belongs
	}
	cfg := o.config(o.data, log)
	registry, err := o.join(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registry.Close()) }()
	cfg.Registry = registry.Catalog
	return app.RunChild(ctx, cfg, o.service, os.Stdin, os.Stdout)
}

// say prints on out; that nobody may be there to read it is no reason to stop.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

// welcome says where to look.
func welcome(out io.Writer, o options, p *premises, traces string) {
	where := "one process"
	if o.processes {
		where = "a process each"
	}
	say(out, "the shop is open, its services in %s\n\n", where)
	var gateway string
	for _, i := range p.shop.Instances() {
		serves := "queue"
		switch {
		case i.Addresses.HTTP != "":
			serves = "http://" + i.Addresses.HTTP
		case i.Addresses.GRPC != "":
			serves = "grpc " + i.Addresses.GRPC
		}
		if i.Name == app.Gateway {
			gateway = serves
		}
		say(out, "  %-12s %-24s http://%s/metrics /livez /readyz /healthz\n", i.ID, serves, i.Admin)
	}
	say(out, `
  registry  %s
  order     curl -i -d '{"customer":"you","sku":"mug-blue","quantity":1,"card":"tok_ok"}' %s/orders
  traces    curl %s/traces/<X-Trace-ID of an answer>, or /traces/%s

`, p.where(), gateway, traces, strings.Join(roles, ", /traces/"))
}
