// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"log/slog"
	"net"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// Keys of address attributes, by the side of the call they describe.
var (
	serverAddressKey, serverPortKey = semconv.ServerAddressKey, semconv.ServerPortKey
	peerAddressKey, peerPortKey     = semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey
)

// RPC is what is known of a method before a call to it: on servers of the
// method, on clients of the method at one target. It is resolved once and kept;
// see [Recorder.RPCServerMethod] and [Recorder.RPCClientMethod].
type RPC struct {
	name    string // "pkg.Service/Method", or metrics.Other
	quiet   bool
	start   []trace.SpanStartOption
	metrics *metrics.RPCMethod
	allowed bool // clients: the egress guard lets identity out
}

type rpcKey struct {
	method, target string
	kind           metrics.RPCType
}

// RPCServerMethod returns the record of a method of this server. Only methods
// the server has registered may be named; give "" for all others, so that
// peers cannot make up names. fullMethod has gRPC's form "/pkg.Service/Method".
func (r *Recorder) RPCServerMethod(fullMethod string, kind metrics.RPCType) *RPC {
	m, _ := r.rpcServer.resolve(rpcKey{method: fullMethod, kind: kind}, r.newServerRPC)
	return m
}

// RPCClientMethod returns the record of a method at a target, which is what
// grpc.ClientConn.Target returns.
func (r *Recorder) RPCClientMethod(fullMethod, target string, kind metrics.RPCType) *RPC {
	m, known := r.rpcClient.resolve(rpcKey{fullMethod, target, kind}, r.newClientRPC)
	if !known { // it shares its name and its metrics with others, but not its host
		shared := *m
		shared.allowed = r.egress.Allows(target)
		m = &shared
	}
	return m
}

// rpcCache resolves methods; the ones past its limit share an entry.
type rpcCache struct{ known, others cache[rpcKey, *RPC] }

func (c *rpcCache) limit(n int) { c.known.limit, c.others.limit = n, int(metrics.BidiStream)+1 }

func (c *rpcCache) resolve(k rpcKey, create func(rpcKey) *RPC) (_ *RPC, known bool) {
	if k.method != "" {
		if m, ok := c.known.get(k, create); ok {
			return m, true
		}
	}
	m, _ := c.others.get(rpcKey{method: metrics.Other, kind: k.kind}, create)
	return m, false
}

func (r *Recorder) newServerRPC(k rpcKey) *RPC {
	m := r.newRPC(k, trace.SpanKindServer, nil)
	m.metrics = r.metrics.RPC(metrics.RPCKey{Side: metrics.Server, Method: m.name, Type: k.kind})
	return m
}

func (r *Recorder) newClientRPC(k rpcKey) *RPC {
	a := newAddress(nil, targetEndpoint(k.target))
	m := r.newRPC(k, trace.SpanKindClient, a.server)
	m.allowed = r.egress.Allows(k.target)
	m.metrics = r.metrics.RPC(metrics.RPCKey{
		Side: metrics.Client, Method: m.name, Type: k.kind, ServerAddress: a.host, ServerPort: a.port,
	})
	return m
}

func (r *Recorder) newRPC(k rpcKey, kind trace.SpanKind, attrs []attribute.KeyValue) *RPC {
	name := semconv.RPCMethod(k.method)
	return &RPC{
		name:  name,
		quiet: r.logging.isQuiet(name),
		start: []trace.SpanStartOption{
			trace.WithSpanKind(kind),
			trace.WithAttributes(append(methodAttributes(r.rpcMode, name), attrs...)...),
		},
	}
}

// targetEndpoint returns the name in a target "scheme://authority/endpoint",
// "scheme:endpoint" or "endpoint": what the user dialled, not what it resolved
// to. Of a unix socket it is the path.
func targetEndpoint(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok && strings.HasPrefix(target, "unix") {
		target = rest
	} else if ok {
		if _, endpoint, ok := strings.Cut(rest, "/"); ok {
			target = endpoint
		}
	} else if scheme, rest, ok := strings.Cut(target, ":"); ok {
		switch scheme {
		case "unix", "unix-abstract", "dns", "passthrough":
			target = rest
		}
	}
	endpoint, _, _ := strings.Cut(target, "?")
	return endpoint
}

// methodAttributes are the attributes every span of a method starts with. New
// ones come last: where an old one has the same key, the new value wins.
func methodAttributes(mode semconv.RPCMode, name string) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if mode.Old() {
		attrs = append(attrs, semconv.OldRPCAttributes(name)...)
	}
	if mode.New() {
		attrs = append(attrs,
			semconv.RPCMethodKey.String(name),
			semconv.RPCSystemNameKey.String(semconv.RPCSystemGRPC))
	}
	return attrs
}

// RPCStatus is a status of an RPC as one side sees it. Adapters make one for
// each code, once, with [NewRPCStatus].
type RPCStatus struct {
	code      uint32
	name      string
	errorType string // "" unless the call failed, in the eyes of this side
	outcome   resilience.Outcome
	attrs     [3][]attribute.KeyValue // by semconv.RPCMode
}

// NewRPCStatus describes a gRPC status code as the server or the client sees
// it. Which codes mark a span as failed is the semantic conventions' choice
// (https://opentelemetry.io/docs/specs/semconv/rpc/grpc/): on clients every
// code but OK, on servers those that are the server's fault. What the code
// means otherwise is the adapter's: outcome.
func NewRPCStatus(server bool, code uint32, outcome resilience.Outcome) *RPCStatus {
	s := &RPCStatus{
		code:      code,
		name:      semconv.GRPCCode(code),
		errorType: semconv.RPCErrorType(server, code),
		outcome:   outcome,
	}
	for _, mode := range []semconv.RPCMode{semconv.RPCNew, semconv.RPCDup, semconv.RPCOld} {
		var attrs []attribute.KeyValue
		if mode.Old() {
			attrs = append(attrs, semconv.OldRPCStatusCodeKey.Int64(int64(code)))
		}
		if mode.New() {
			attrs = append(attrs, semconv.RPCResponseStatusCodeKey.String(s.name))
			if s.errorType != "" {
				attrs = append(attrs, semconv.ErrorTypeKey.String(s.errorType))
			}
		}
		s.attrs[mode] = attrs
	}
	return s
}

// Outcome returns the outcome the status stands for.
func (s *RPCStatus) Outcome() resilience.Outcome { return s.outcome }

// spanStatus is the span's status for s.
func (s *RPCStatus) spanStatus() codes.Code {
	if s.errorType != "" {
		return codes.Error
	}
	return codes.Unset
}

// StartRPCServer begins the record of a call that arrived. Its deadline is
// that of ctx. peer and local are the ends of the connection and may be nil.
func (r *Recorder) StartRPCServer(ctx context.Context, m *RPC, in Incoming, peer, local net.Addr) *Call {
	c := &Call{recorder: r, kind: RPCServer, rpc: m}
	ctx, correlation, link := r.accept(ctx, &in)
	c.begin(ctx, m.name, r.withLink(m.start, link))
	c.CorrelationID = correlation
	c.takeForwarded(&in)
	from := r.addresses.get(peer)
	c.peer.Store(from)
	if c.recording {
		c.Span.SetAttributes(r.addresses.get(local).server...)
		c.Span.SetAttributes(from.peer...)
	}
	m.metrics.Begin(c.exemplar())
	return c
}

// StartRPCClient begins the record of a call about to be made.
func (r *Recorder) StartRPCClient(ctx context.Context, m *RPC) *Call {
	c := &Call{recorder: r, kind: RPCClient, rpc: m, allowed: m.allowed}
	c.begin(ctx, m.name, m.start)
	c.inherit(ctx)
	m.metrics.Begin(c.exemplar())
	return c
}

// AdoptRPCServer begins the record of a call that arrived and whose span, in
// ctx, another instrumentation made and will end. Without one in ctx the call
// gets an identity that no tracer knows.
func (r *Recorder) AdoptRPCServer(ctx context.Context, m *RPC, in Incoming, peer net.Addr) *Call {
	c := &Call{recorder: r, kind: RPCServer, rpc: m, external: true}
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx, _, _ = r.accept(ctx, &in)
	}
	c.adopt(c.identify(ctx))
	c.CorrelationID = correlationID(&in)
	c.takeForwarded(&in)
	c.peer.Store(r.addresses.get(peer))
	m.metrics.Begin(c.exemplar())
	return c
}

// ShadowRPCClient begins the record of a call whose span another
// instrumentation will make further down, out of the record's sight: metrics
// and log lines get the identity of the caller's span or, without one, an
// identity of their own in the trace that the span is to be in.
func (r *Recorder) ShadowRPCClient(ctx context.Context, m *RPC) *Call {
	c := &Call{recorder: r, kind: RPCClient, rpc: m, external: true, allowed: m.allowed}
	c.inherit(ctx)
	parent := scope.From(ctx)
	ctx, span := c.identify(ctx)
	c.keepUnrecorded(parent, span)
	sc := span.SpanContext()
	if c.Unrecorded { // not a parent to be under: no tracer knows it
		ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{}.WithTraceID(sc.TraceID()))
	}
	// The caller's span is told nothing of this call.
	c.adopt(ctx, trace.SpanFromContext(trace.ContextWithSpanContext(ctx, sc)))
	m.metrics.Begin(c.exemplar())
	return c
}

// SetOriginalMethod puts the full method of a call to an unknown method on the
// span, where its values have no bound to break.
func (c *Call) SetOriginalMethod(fullMethod string) {
	if c.recording && !c.external {
		c.Span.SetAttributes(semconv.RPCMethodOriginalKey.String(bounded(semconv.RPCMethod(fullMethod))))
	}
}

// Sent counts a message sent on a stream.
func (c *Call) Sent() {
	c.sent.Add(1)
	c.rpc.metrics.Sent()
}

// Received counts a message received on a stream.
func (c *Call) Received() {
	c.received.Add(1)
	c.rpc.metrics.Received()
}

// SetPeer notes the address the call was sent to.
func (c *Call) SetPeer(a net.Addr) { c.peer.Store(c.recorder.addresses.get(a)) }

// FinishRPC ends the record: the span, then the observation and the log line
// from the span's own two clock readings. message describes an error; it goes
// to the span and the log. A status that is nil is a fault of the adapter and
// panics. Only the first finish counts.
func (c *Call) FinishRPC(s *RPCStatus, message string) {
	if !c.claim() {
		return
	}
	m := c.rpc
	c.outcome = s.outcome
	if peer := c.peer.Load(); peer != nil && c.recording && c.kind == RPCClient {
		c.Span.SetAttributes(peer.peer...)
	}
	c.stop(s.spanStatus(), message, s.attrs[c.recorder.rpcMode])
	m.metrics.End(s.code, s.errorType, c.Duration(), c.exemplar())
	if level, ok := c.logLevel(m.quiet); ok {
		var l line
		l.ids(c)
		l.str(string(semconv.RPCMethodKey), m.name)
		l.str(string(semconv.RPCResponseStatusCodeKey), s.name)
		l.attempts(c)
		if n := c.sent.Load(); n > 0 {
			l.add(slog.Int64("messages_sent", n))
		}
		if n := c.received.Load(); n > 0 {
			l.add(slog.Int64("messages_received", n))
		}
		c.writeLine(&l, level, s.errorType, message)
	}
}
