// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"hash/maphash"
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
)

// scopeName is the instrumentation scope of every span a record makes.
const scopeName = "github.com/fairlead-go/fairlead/record"

// Limits on what is resolved and kept once a name. Names past them share one
// entry, whose method or route is [metrics.Other].
const (
	maxMethods = 1000
	maxRoutes  = 1000
	maxHosts   = 200
)

// Recorder makes call records. One Recorder serves a whole process: gRPC and
// HTTP, servers and clients, so that they agree. Make it with [New]; the zero
// value is invalid. It is safe for concurrent use, and has nothing to close.
type Recorder struct {
	tracer   trace.Tracer
	provider trace.TracerProvider
	metrics  *metrics.Set // nil: no metrics
	log      slog.Handler // nil: no request log
	logging  logPolicy

	w3c         bool
	w3cBaggage  bool
	others      propagation.TextMapPropagator // nil: nothing beyond W3C
	ingress     ctxutil.Ingress
	egress      *ctxutil.Egress
	forward     *ctxutil.Forward // nil: nothing is forwarded
	redact      func(slog.Attr) slog.Attr
	rpcMode     semconv.RPCMode
	httpMethods semconv.HTTPMethods

	rpcServer rpcCache
	rpcClient rpcCache
	routes    cache[routeKey, *route]
	hosts     cache[hostKey, *host]
	addresses addressCache
}

// New returns a Recorder. With no options it continues and starts identities,
// so that logs correlate, makes spans with the global tracer provider, and
// writes neither metrics nor logs.
//
// An error names the option, its value and the rule it breaks.
func New(opts ...Option) (*Recorder, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	r := &Recorder{
		tracer:      c.tracerProvider.Tracer(scopeName),
		provider:    c.tracerProvider,
		metrics:     c.metrics,
		logging:     c.logging,
		ingress:     c.ingress,
		egress:      c.egress,
		forward:     c.forward,
		redact:      c.redact,
		rpcMode:     c.rpcMode,
		httpMethods: semconv.HTTPMethodsFromEnv(),
	}
	if c.logger != nil {
		r.log = c.logger.Handler()
	}
	r.w3c, r.w3cBaggage, r.others = splitPropagator(c.propagator)
	r.rpcServer.limit(maxMethods)
	r.rpcClient.limit(maxMethods)
	r.routes.limit, r.hosts.limit = maxRoutes, maxHosts
	r.addresses.seed = maphash.MakeSeed()
	return r, nil
}

// ReadsHeaders reports whether a call's headers are looked at whole, so that
// adapters can spare the copy otherwise.
func (r *Recorder) ReadsHeaders() bool { return r.forward != nil || r.others != nil }
