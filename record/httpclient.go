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

// host is what is known of a host that requests are sent to.
type host struct {
	address string
	attrs   []attribute.KeyValue
	metrics *metrics.HTTPClient
}

type hostKey struct{ method, scheme, host string }

// host resolves the method and the host of a client request. Hosts past the
// limit are resolved each time.
func (r *Recorder) host(method, scheme, hostport string) *host {
	k := hostKey{method, scheme, hostport}
	h, ok := r.hosts.get(k, r.newHost)
	if !ok {
		h = r.newHost(k)
	}
	return h
}

func (r *Recorder) newHost(k hostKey) *host {
	address, port := splitHost(k.host)
	if port == 0 {
		port = 80
		if k.scheme == "https" {
			port = 443
		}
	}
	return &host{
		address: address,
		attrs: []attribute.KeyValue{
			semconv.HTTPRequestMethodKey.String(k.method),
			semconv.ServerAddressKey.String(address),
			semconv.ServerPortKey.Int(port),
		},
		metrics: r.metrics.HTTPClient(k.method, k.scheme, address, port),
	}
}

// StartHTTPClient begins the record of a request about to be sent. name is the
// downstream service's name, used in place of the URL's host in metrics and on
// the span if it is not empty.
func (r *Recorder) StartHTTPClient(req *http.Request, name string) *Call {
	c := &Call{recorder: r, kind: HTTPClient, allowed: r.egress.Allows(req.URL.Host)}
	method := r.httpMethods.Name(req.Method)
	hostport := req.URL.Host
	if name != "" {
		hostport = name
	}
	h := r.host(method, req.URL.Scheme, hostport)
	opts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(h.attrs...),
		trace.WithAttributes(semconv.URLFullKey.String(safeURL(req))),
	}
	ctx := req.Context()
	c.begin(ctx, semconv.HTTPSpanName(method, ""), opts)
	c.inherit(ctx)
	c.http.method, c.http.scheme, c.http.path = method, req.URL.Scheme, bounded(req.URL.Path)
	c.http.host = h
	c.http.peer = req.URL.Host
	c.SetSizes(req.ContentLength, -1)
	h.metrics.Begin()
	return c
}

// FinishHTTPClient ends the record; see [Call.FinishHTTPServer].
func (c *Call) FinishHTTPClient(s *HTTPStatus, message string) {
	if !c.claim() {
		return
	}
	h := c.http.host
	c.outcome = s.outcome
	c.stop(s.spanStatus(), message, s.attrs)
	h.metrics.End(s.code, s.errorType, c.Duration(), c.exemplar())
	if level, ok := c.logLevel(false); ok {
		var l line
		l.ids(c)
		l.str(string(semconv.HTTPRequestMethodKey), c.http.method)
		l.str(string(semconv.ServerAddressKey), h.address)
		l.str(string(semconv.URLPathKey), c.http.path)
		if s.code != 0 {
			l.add(slog.Int(string(semconv.HTTPResponseStatusCodeKey), s.code))
		}
		l.str("peer", c.http.peer)
		c.writeLine(&l, level, s.errorType, message)
	}
}

// safeURL is the request's URL without user information and query, which is
// where secrets travel.
func safeURL(req *http.Request) string {
	return bounded(req.URL.Scheme + "://" + req.URL.Host + req.URL.EscapedPath())
}
