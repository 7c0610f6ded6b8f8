// SPDX-License-Identifier: Apache-2.0

package record

import (
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// route is what is known of a route of an HTTP server: the method, and the
// pattern the request matched.
type route struct {
	name  string // "GET /orders/{id}", or the method alone
	path  string // the pattern's path; "" if nothing matched
	quiet bool
	attrs []attribute.KeyValue
}

type routeKey struct{ method, pattern string }

// route resolves a standard method and the pattern a request matched.
func (r *Recorder) route(method, pattern string) *route {
	k := routeKey{method, pattern}
	rt, ok := r.routes.get(k, r.newRoute)
	if !ok {
		rt = r.newRoute(routeKey{method: method})
	}
	return rt
}

func (r *Recorder) newRoute(k routeKey) *route {
	path := semconv.HTTPRoute(k.pattern)
	rt := &route{name: semconv.HTTPSpanName(k.method, path), path: path}
	if path != "" {
		rt.attrs = []attribute.KeyValue{semconv.HTTPRouteKey.String(path)}
	}
	rt.quiet = r.logging.isQuiet(rt.name)
	return rt
}

// IncomingHTTP reads the identity of a request from its headers.
func IncomingHTTP(h http.Header) Incoming {
	return Incoming{
		Traceparent: single(h["Traceparent"]),
		Tracestate:  h["Tracestate"],
		Baggage:     h["Baggage"],
		TraceID:     single(h["X-Trace-Id"]),
		RequestID:   single(h["X-Request-Id"]),
	}
}

// StartHTTPServer begins the record of a request that arrived.
func (r *Recorder) StartHTTPServer(req *http.Request, in Incoming) *Call {
	c := &Call{recorder: r, kind: HTTPServer}
	c.http.method, c.http.scheme = r.httpMethods.Name(req.Method), "http"
	if req.TLS != nil {
		c.http.scheme = "https"
	}
	c.http.path, c.http.peer = bounded(req.URL.Path), req.RemoteAddr
	ctx, correlation, link := r.accept(req.Context(), &in)
	start := starts.Get().(*httpStart)
	c.begin(ctx, semconv.HTTPSpanName(c.http.method, ""), r.withLink(start.options(c), link))
	starts.Put(start)
	c.CorrelationID = correlation
	c.takeForwarded(&in)
	if c.recording {
		c.Span.SetAttributes(r.requestAttributes(req, c.http.method)...)
	}
	c.http.server = r.metrics.HTTPServer(c.http.method, c.http.scheme)
	c.http.server.Begin()
	return c
}

// starts holds what requests' spans start with, for reuse: a tracer copies it.
var starts = sync.Pool{New: func() any { return new(httpStart) }}

type httpStart struct {
	attrs [3]attribute.KeyValue
	opts  [2]trace.SpanStartOption
}

// options are the attributes that a sampler can decide by: a route there is not yet.
func (s *httpStart) options(c *Call) []trace.SpanStartOption {
	s.attrs = [...]attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(c.http.method),
		semconv.URLSchemeKey.String(c.http.scheme),
		semconv.URLPathKey.String(c.http.path),
	}
	s.opts = [...]trace.SpanStartOption{serverKind, trace.WithAttributes(s.attrs[:]...)}
	return s.opts[:]
}

var serverKind, clientKind = trace.WithSpanKind(trace.SpanKindServer), trace.WithSpanKind(trace.SpanKindClient)

// requestAttributes are the attributes of a request that only a recorded span
// pays for.
func (r *Recorder) requestAttributes(req *http.Request, method string) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 8)
	if method != req.Method {
		kvs = append(kvs, semconv.HTTPRequestMethodOriginalKey.String(bounded(req.Method)))
	}
	host, port := splitHost(req.Host)
	kvs = append(kvs, semconv.ServerAddressKey.String(bounded(host)))
	if port > 0 {
		kvs = append(kvs, semconv.ServerPortKey.Int(port))
	}
	if ip, port := splitHost(req.RemoteAddr); ip != "" {
		kvs = append(kvs, semconv.ClientAddressKey.String(ip), semconv.NetworkPeerAddressKey.String(ip))
		if port > 0 {
			kvs = append(kvs, semconv.NetworkPeerPortKey.Int(port))
		}
	}
	if ua := req.UserAgent(); ua != "" {
		kvs = append(kvs, semconv.UserAgentOriginalKey.String(bounded(ua)))
	}
	if v := protocolVersion(req.ProtoMajor, req.ProtoMinor); v != "" {
		kvs = append(kvs, semconv.NetworkProtocolVersionKey.String(v))
	}
	return kvs
}

// SetCallerDeadline notes the deadline that came with a request: in a header,
// so that the context it arrived with does not have it.
func (c *Call) SetCallerDeadline(t time.Time) { c.http.deadline = t }

// SetRoute notes the pattern a request matched, as [http.Request.Pattern] has
// it. It may be called until the record is finished; the last one counts.
func (c *Call) SetRoute(pattern string) { c.http.pattern = pattern }

// Route returns the pattern that was noted, or "".
func (c *Call) Route() string { return c.http.pattern }

// FinishHTTPServer ends the record: the span, then the observation and the log
// line from the span's own two clock readings. message describes an error; it
// goes to the span and the log, never to the peer. Only the first finish counts.
func (c *Call) FinishHTTPServer(s *HTTPStatus, message string) {
	if !c.claim() {
		return
	}
	rt := c.recorder.route(c.http.method, c.http.pattern)
	c.outcome = s.outcome
	if c.recording && rt.path != "" {
		c.Span.SetName(rt.name)
		c.Span.SetAttributes(rt.attrs...)
	}
	c.stop(s.spanStatus(), message, s.attrs)
	c.http.server.End(rt.path, s.code, s.errorType, c.Duration(), c.exemplar())
	if level, ok := c.logLevel(rt.quiet); ok {
		var l line
		l.ids(c)
		l.str(string(semconv.HTTPRequestMethodKey), c.http.method)
		l.str(string(semconv.HTTPRouteKey), rt.path)
		l.str(string(semconv.URLPathKey), c.http.path)
		l.statusCode(s.code)
		l.str("peer", c.http.peer)
		c.writeLine(&l, level, s.errorType, message)
	}
}

// single returns the value of a header that must not be repeated, or "".
func single(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// splitHost takes "host:port" apart; the port is 0 if there is none.
func splitHost(hostport string) (string, int) {
	host, text, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport, 0
	}
	port := 0
	for _, d := range []byte(text) {
		if d < '0' || d > '9' || port > 65535 {
			return host, 0
		}
		port = port*10 + int(d-'0')
	}
	return host, port
}

// protocolVersion is the network.protocol.version of HTTP, "" if it is unknown.
func protocolVersion(major, minor int) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major == 1:
		return "1.0"
	case major == 2:
		return "2"
	case major == 3:
		return "3"
	default:
		return ""
	}
}
