// SPDX-License-Identifier: Apache-2.0

package record

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
)

// host is what is known of a host that requests are sent to, or of the service
// behind it.
type host struct {
	address string
	port    int // 0: of a service, whose instances have their own
	start   []trace.SpanStartOption
	metrics *metrics.HTTPClient
}

// hostKey names a host by the authority of URLs, or a service.
type hostKey struct{ method, scheme, host, service string }

// host resolves the method and the host of a client request. Hosts past the
// limit are resolved each time.
func (r *Recorder) host(k hostKey) *host {
	h, ok := r.hosts.get(k, r.newHost)
	if !ok {
		h = r.newHost(k)
	}
	return h
}

func (r *Recorder) newHost(k hostKey) *host {
	h := &host{address: k.service}
	if h.address == "" {
		h.address, h.port = splitHost(k.host)
		h.port = portOf(h.port, k.scheme)
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(k.method),
		semconv.ServerAddressKey.String(bounded(h.address)),
	}
	if h.port != 0 {
		attrs = append(attrs, semconv.ServerPortKey.Int(h.port))
	}
	h.start = []trace.SpanStartOption{clientKind, trace.WithAttributes(attrs...)}
	h.metrics = r.metrics.HTTPClient(k.method, k.scheme, h.address, h.port)
	return h
}

// portOf returns port or, if that is 0, the one that goes without saying.
func portOf(port int, scheme string) int {
	switch {
	case port != 0:
		return port
	case scheme == "https":
		return 443
	default:
		return 80
	}
}

// StartHTTPClient begins the record of a request about to be sent. service is
// the downstream service's name, used in place of the URL's host and port in
// metrics, and in place of the host on the span, if it is not empty.
func (r *Recorder) StartHTTPClient(req *http.Request, service string) *Call {
	c := &Call{recorder: r, kind: HTTPClient, allowed: r.egress.Allows(req.URL.Host)}
	c.http.method, c.http.scheme = r.httpMethods.Name(req.Method), req.URL.Scheme
	c.http.path, c.http.peer = bounded(req.URL.Path), req.URL.Host
	k := hostKey{method: c.http.method, scheme: c.http.scheme, service: service}
	if service == "" {
		k.host = req.URL.Host
	}
	c.http.host = r.host(k)
	ctx := req.Context()
	c.begin(ctx, semconv.HTTPSpanName(c.http.method, ""), c.http.host.start)
	c.inherit(ctx)
	if c.recording {
		c.http.sent = c.sentAttributes(req)
		c.Span.SetAttributes(c.http.sent...)
	}
	c.requestSize = req.ContentLength
	if req.ContentLength == 0 && req.Body != nil && req.Body != http.NoBody {
		c.requestSize = -1
	}
	c.http.host.metrics.Begin()
	return c
}

// sentAttributes are the attributes of a request that only a recorded span pays
// for.
func (c *Call) sentAttributes(req *http.Request) []attribute.KeyValue {
	kvs := append(make([]attribute.KeyValue, 0, 3), semconv.URLFullKey.String(safeURL(req)))
	if c.http.method == metrics.Other {
		kvs = append(kvs, semconv.HTTPRequestMethodOriginalKey.String(bounded(req.Method)))
	}
	if c.http.host.port == 0 {
		_, port := splitHost(req.URL.Host)
		kvs = append(kvs, semconv.ServerPortKey.Int(portOf(port, c.http.scheme)))
	}
	return kvs
}

// SetResponse notes what a response's header says. It is called before the
// record is finished.
func (c *Call) SetResponse(resp *http.Response) {
	c.http.protocol = protocolVersion(resp.ProtoMajor, resp.ProtoMinor)
	c.replySize = resp.ContentLength
	if c.http.method == http.MethodHead {
		c.replySize = 0
	}
}

// ReadBody counts bytes of a response's body, whose length its header need not
// say.
func (c *Call) ReadBody(n int) { c.received.Add(int64(n)) }

// FinishHTTPClient ends the record; see [Call.FinishHTTPServer].
func (c *Call) FinishHTTPClient(s *HTTPStatus, message string) {
	if !c.claim() {
		return
	}
	h := c.http.host
	c.outcome = s.outcome
	if n := c.received.Load(); c.replySize < 0 && n > 0 {
		c.replySize = n
	}
	if c.recording && c.http.protocol != "" {
		c.Span.SetAttributes(semconv.NetworkProtocolVersionKey.String(c.http.protocol))
	}
	c.stop(s.spanStatus(), message, s.attrs)
	h.metrics.End(s.code, s.errorType, c.Duration(), c.exemplar())
	if level, ok := c.logLevel(false); ok {
		var l line
		l.ids(c)
		l.str(string(semconv.HTTPRequestMethodKey), c.http.method)
		l.str(string(semconv.ServerAddressKey), h.address)
		l.str(string(semconv.URLPathKey), c.http.path)
		l.statusCode(s.code)
		l.attempts(c)
		l.str("peer", c.http.peer)
		c.writeLine(&l, level, s.errorType, message)
	}
}

// statusCode adds the status of a response, if there was one.
func (l *line) statusCode(code int) {
	if code != 0 {
		l.add(slog.Int(string(semconv.HTTPResponseStatusCodeKey), code))
	}
}

// safeURL is the request's URL without user information and query, which is
// where secrets travel.
func safeURL(req *http.Request) string {
	return bounded(req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath())
}
