// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/telemetry"
)

// env is what the services of one process share.
type env struct {
	cfg      Config
	recorder *report.Recorder
	journal  *report.Journal
}

// service is a Fairlead service with what belongs to it.
type service struct {
	*fairlead.Service
	name string

	// closers end what the service has opened, the last one first.
	closers []io.Closer
}

// builders make the services.
var builders = map[string]func(context.Context, *env) (*service, error){
	Gateway:   newGateway,
	Order:     newOrder,
	Inventory: newInventory,
	Payment:   newPayment,
	Notify:    newNotify,
}

// newService returns a service of that name with what all of them have in
// common: telemetry, logs, policies, the registry in which it finds others, and no TLS,
// as nothing leaves this machine.
func (e *env) newService(name string, opts ...fairlead.Option) (*service, error) {
	metrics := prometheus.NewRegistry()
	processors := []sdktrace.SpanProcessor{e.recorder}
	logs := []slog.Handler{jsonLog(e.recorder.LogWriter())}
	if e.cfg.Log != nil {
		logs = append(logs, jsonLog(e.cfg.Log))
	}
	rules, err := e.policies(name)
	if err != nil {
		return nil, err
	}
	if e.cfg.Observe != nil {
		p, h := e.cfg.Observe(name, metrics)
		processors, logs = append(processors, p), append(logs, h)
	}

	common := []fairlead.Option{
		fairlead.WithPlaintext(),
		fairlead.WithoutSignals(), // whoever runs the shop stops its services in order
		fairlead.WithDrainTimeout(drainTimeout),
		fairlead.WithMetricsRegistry(metrics),
		fairlead.WithLogHandler(slog.NewMultiHandler(logs...)),
		fairlead.WithPolicies(rules...),
		fairlead.WithRegistry(e.cfg.Registry),
		fairlead.WithNamespace(e.cfg.Namespace),
		fairlead.WithDiscovery(e.cfg.Watching()...),
		fairlead.WithTelemetry(telemetry.ForService(e.telemetryOptions(processors)...)),
	}
	svc, err := fairlead.New(name, slices.Concat(common, findable(name), opts)...)
	if err != nil {
		return nil, err
	}
	return &service{Service: svc, name: name}, nil
}

// findable is how others find a service, if they do. What it gives its requests is
// bounded, so that the registry need not list it for long after it has died.
func findable(name string) []fairlead.Option {
	if !slices.Contains(Scalable(), name) {
		return []fairlead.Option{fairlead.WithoutRegistration(), fairlead.WithDrainWait(0)}
	}
	return []fairlead.Option{
		fairlead.WithServerTimeout(serverTimeout),
		fairlead.WithHTTPServer(httpmw.WithReadTimeout(serverTimeout), httpmw.WithIdleTimeout(serverIdle)),
		fairlead.WithRegistration(discovery.WithTTL(ttl),
			discovery.WithDamping(discovery.DefaultFailAfter, 1), // called as soon as it is ready
			discovery.WithBackoff(minBackoff, maxBackoff), discovery.WithRegistrationBreaker(discovery.DefaultBreakAfter, maxBackoff)),
		fairlead.WithDrainWait(drainWait),
	}
}

func (e *env) telemetryOptions(processors []sdktrace.SpanProcessor) []telemetry.Option {
	var opts []telemetry.Option
	for _, p := range processors {
		opts = append(opts, telemetry.WithSpanProcessor(p))
	}
	if !e.cfg.OTLP {
		opts = append(opts, telemetry.WithDefaultExporter("none"))
	}
	return opts
}

func jsonLog(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo})
}

// open opens the database of a service in its file.
func (e *env) open(ctx context.Context, name, schema string) (*store.DB, error) {
	return store.Open(ctx, e.file(name), schema, store.WithFault(e.cfg.Faults[chaos.DB]))
}

func (e *env) file(name string) string { return filepath.Join(e.cfg.Dir, name+".db") }

// close ends what the service has opened.
func (s *service) close() error {
	var errs []error
	for _, c := range slices.Backward(s.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// abandon closes a service that will not run, because of err.
func (s *service) abandon(err error) (*service, error) {
	return nil, fmt.Errorf("%s: %w", s.name, errors.Join(err, s.Close(), s.close()))
}
