// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
)

type config struct {
	tracerProvider trace.TracerProvider
	propagator     propagation.TextMapPropagator
	metrics        *metrics.Set
	logger         *slog.Logger
	logging        logPolicy
	ingress        ctxutil.Ingress
	egress         *ctxutil.Egress
	forward        *ctxutil.Forward
	redact         func(slog.Attr) slog.Attr
	rpcMode        semconv.RPCMode
	errs           []error
}

// Option configures a [Recorder].
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

func newConfig(opts []Option) (config, error) {
	c := config{
		egress:  ctxutil.InternalHosts(),
		logging: defaultLogPolicy(),
		rpcMode: semconv.RPCModeFromEnv(),
	}
	for _, o := range opts {
		if o == nil {
			c.errs = append(c.errs, errors.New("nil option"))
			continue
		}
		o.apply(&c)
	}
	if c.tracerProvider == nil {
		c.tracerProvider = otel.GetTracerProvider()
	}
	if c.propagator == nil {
		c.propagator = defaultPropagator()
	}
	return c, errors.Join(c.errs...)
}

// defaultPropagator returns the global propagator if somebody set one, and
// W3C's otherwise: the OpenTelemetry API's own default propagates nothing.
func defaultPropagator() propagation.TextMapPropagator {
	if p := otel.GetTextMapPropagator(); len(p.Fields()) > 0 {
		return p
	}
	return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
}

// WithTracerProvider sets where spans go. The default, and nil, is the global
// tracer provider, which makes no spans until an SDK is installed.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return optionFunc(func(c *config) { c.tracerProvider = tp })
}

// WithPropagator sets the header formats in which identities come and go. The
// default, and nil, is the global propagator or, if none is set, W3C Trace
// Context and W3C Baggage. W3C formats are read and written without the
// propagator's help; formats beyond them cost a copy of the headers.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return optionFunc(func(c *config) { c.propagator = p })
}

// WithMetrics sets where durations and counts go. The default, and nil, is
// nowhere.
func WithMetrics(m *metrics.Set) Option {
	return optionFunc(func(c *config) { c.metrics = m })
}

// WithLogger turns on the request log: one line a call, as [Message] names
// them. Its level is chosen by the call's outcome, see [Level]. The default,
// and nil, is no request log. Use a logger over a logging.Handler, so that
// redaction and sampling apply.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) { c.logger = l })
}

// WithQuiet logs successful calls to the named methods ("pkg.Service/Method"),
// services ("pkg.Service/") or routes ("GET /metrics", "/metrics") at debug
// level. The default is the gRPC health service and /livez, /readyz, /healthz
// and /metrics. No name turns that off.
func WithQuiet(names ...string) Option {
	return optionFunc(func(c *config) { c.logging.setQuiet(names) })
}

// WithIngress says whether callers are believed. The default is
// [ctxutil.Trusted]: traces are continued, baggage and forwarded headers taken
// over. With [ctxutil.Public], for servers that face strangers, a call starts
// its own trace with a link to the caller's, and keeps nothing else but a
// well-formed correlation id.
func WithIngress(i ctxutil.Ingress) Option {
	return optionFunc(func(c *config) {
		if i != ctxutil.Trusted && i != ctxutil.Public {
			c.errs = append(c.errs, fmt.Errorf("WithIngress: %d is neither ctxutil.Trusted nor ctxutil.Public", i))
		}
		c.ingress = i
	})
}

// WithEgress sets the hosts that are told the trace, the baggage and the
// forwarded headers. The default, and nil, is [ctxutil.InternalHosts].
func WithEgress(e *ctxutil.Egress) Option {
	return optionFunc(func(c *config) {
		if e != nil {
			c.egress = e
		}
	})
}

// WithForward sets the business headers that travel on from each request to
// the calls made for it. The default, and nil, is none.
func WithForward(f *ctxutil.Forward) Option {
	return optionFunc(func(c *config) { c.forward = f })
}

// WithRedact sets what is applied to attributes given to [ctxutil.Add] before
// they reach the span, usually a logging.Redactor's Attr method. The default,
// and nil, changes nothing.
func WithRedact(redact func(slog.Attr) slog.Attr) Option {
	return optionFunc(func(c *config) { c.redact = redact })
}
