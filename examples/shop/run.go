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

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
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
	shop, closeLog, err := open(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		err = errors.Join(err, shop.Stop(ctx), closeLog())
		if err == nil {
			say(out, "the shop is closed\n")
		}
	}()

	traces := report.NewKeeper(shop.Traces())
	server, err := app.ServeTraces(ctx, traces, shop.News())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	welcome(out, o, shop, server.URL)

	// A service that ends by itself ends the run.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		select {
		case err := <-shop.Ended():
			cancel(err)
		case <-ctx.Done():
		}
	})
	if err := serveCustomers(ctx, o, shop, newWatcher(shop, traces), out); err != nil {
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

// open starts the services, in this process or in processes of their own.
func open(ctx context.Context, o options, dir string) (shop app.Shop, closeLog func() error, err error) {
	log, err := o.openLog()
	if err != nil {
		return nil, nil, err
	}
	closeLog = func() error { return nil }
	var w io.Writer // stays nil without a log
	if log != nil {
		w, closeLog = log, log.Close
	}
	if o.processes {
		self, err := os.Executable()
		if err != nil {
			return nil, nil, errors.Join(err, closeLog())
		}
		shop, err = app.StartProcesses(ctx, w, o.command(self, dir))
		if err != nil {
			return nil, nil, errors.Join(err, closeLog())
		}
		return shop, closeLog, nil
	}
	shop, err = app.Start(ctx, o.config(dir, w))
	if err != nil {
		return nil, nil, errors.Join(err, closeLog())
	}
	return shop, closeLog, nil
}

// runChild is run for a process that -processes has started.
func runChild(o options) error {
	// Ctrl-C reaches every process of the terminal, but who stops when is the
	// parent's to say.
	signal.Ignore(os.Interrupt)
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer release()
	var log io.Writer
	if o.log != "" {
		log = os.Stdout // the parent writes it where it belongs
	}
	return app.RunChild(ctx, o.config(o.data, log), o.service, o.peers, os.Stdin, os.Stdout)
}

// serveCustomers makes the requests and shows how it goes.
func serveCustomers(ctx context.Context, o options, shop app.Shop, watch *watcher, out io.Writer) error {
	cfg := o.load
	for _, i := range shop.Instances() {
		switch i.Name {
		case app.Gateway:
			cfg.Gateway = "http://" + i.Addresses.HTTP
		case app.Order:
			cfg.Order = i.Addresses.GRPC
		}
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
	err = customers.Run(ctx)
	time.Sleep(afterglow)
	stop()
	progress.Wait()
	watch.finish(whole, stats.Snapshot())
	showPolicies(whole, out, shop, stats.Snapshot())
	return err
}

// say prints on out; that nobody may be there to read it is no reason to stop.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

// welcome says where to look.
func welcome(out io.Writer, o options, shop app.Shop, traces string) {
	where := "one process"
	if o.processes {
		where = "a process each"
	}
	say(out, "the shop is open, its services in %s\n\n", where)
	var gateway string
	for _, i := range shop.Instances() {
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
		say(out, "  %-10s %-24s http://%s/metrics /livez /readyz /healthz\n", i.Name, serves, i.Admin)
	}
	say(out, `
  order   curl -i -d '{"customer":"you","sku":"mug-blue","quantity":1,"card":"tok_ok"}' %s/orders
  traces  curl %s/traces/<X-Trace-ID of an answer>, or /traces/%s

`, gateway, traces, strings.Join(roles, ", /traces/"))
}
