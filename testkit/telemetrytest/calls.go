// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"errors"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// other is the label value that stands for values past a limit.
const other = "_OTHER"

// errorTypeKey says on a span and in a line how a call failed.
const errorTypeKey = "error.type"

// CallKind says how one kind of call shows in the three signals. Names are those
// of attributes and log keys; the labels of a metric are the same with
// underscores for dots.
type CallKind struct {
	// Name is for failure messages, a noun such as "rpc server call".
	Name string
	// Span is the kind of the calls' spans.
	Span trace.SpanKind
	// Mark is the attribute that makes a span of that kind such a call. The
	// default is the first of the Keys. Of several kinds that fit, the first counts.
	Mark string
	// Message is the message of the request log line. With none, lines are not
	// compared.
	Message string
	// Metric is the histogram of the calls' durations in seconds, as Prometheus
	// names it. With none, metrics are not compared.
	Metric string
	// Keys tell what was called. There must be one at least.
	Keys []string
	// Code is the key of the status.
	Code string
	// AttemptOf is the Name of the kind of call that calls of this kind are
	// attempts of: their spans are below the call's, and the Mark, a number,
	// tells them apart. Empty if they are none.
	AttemptOf string
}

// DefaultCalls returns the four kinds of call that package record makes records
// of, and the attempts of clients, which have no line of their own. Names are
// those of the OpenTelemetry semantic conventions
// (https://opentelemetry.io/docs/specs/semconv/) and, for attempts over gRPC, of
// gRFC A72.
func DefaultCalls() []CallKind {
	return []CallKind{
		{
			Name: "rpc server call", Span: trace.SpanKindServer, Message: "rpc server call",
			Metric: "rpc_server_call_duration_seconds",
			Keys:   []string{"rpc.method"}, Code: "rpc.response.status_code",
		},
		{
			Name: "rpc client attempt", Span: trace.SpanKindClient, Mark: "previous-rpc-attempts",
			Metric: "rpc_client_attempt_duration_seconds", AttemptOf: "rpc client call",
			Keys: []string{"rpc.method"}, Code: "rpc.response.status_code",
		},
		{
			Name: "rpc client call", Span: trace.SpanKindClient, Message: "rpc client call",
			Metric: "rpc_client_call_duration_seconds",
			Keys:   []string{"rpc.method"}, Code: "rpc.response.status_code",
		},
		{
			Name: "http server request", Span: trace.SpanKindServer, Message: "http server request",
			Metric: "http_server_request_duration_seconds",
			Keys:   []string{"http.request.method", "http.route"}, Code: "http.response.status_code",
		},
		{
			Name: "http client attempt", Span: trace.SpanKindClient, Mark: "fairlead.attempt",
			Metric: "http_client_attempt_duration_seconds", AttemptOf: "http client request",
			Keys: []string{"http.request.method", "server.address"}, Code: "http.response.status_code",
		},
		{
			Name: "http client request", Span: trace.SpanKindClient, Message: "http client request",
			Metric: "http_client_request_duration_seconds",
			Keys:   []string{"http.request.method", "server.address"}, Code: "http.response.status_code",
		},
	}
}

func (k *CallKind) validate() error {
	if len(k.Keys) == 0 {
		return errors.New("Keys of " + k.Name + " is empty: without one, no span is known as a call")
	}
	return nil
}

// mark is the attribute that makes a span a call of this kind.
func (k *CallKind) mark() string {
	if k.Mark != "" {
		return k.Mark
	}
	return k.Keys[0]
}

// dims are the attributes that tell calls of this kind apart.
func (k *CallKind) dims() []string { return append(slices.Clip(k.Keys), k.Code) }

// label is the label that an attribute becomes.
func label(attr string) string { return strings.ReplaceAll(attr, ".", "_") }

// values are the texts of a call's dims, one each; "" for one that is absent.
type values []string

func (v values) String() string { return strings.Join(v, " ") }

// of returns what get says of each of the dims.
func (k *CallKind) of(get func(key string) string) values {
	dims := k.dims()
	v := make(values, len(dims))
	for i, d := range dims {
		v[i] = get(d)
	}
	return v
}

// attrText returns the text of a span's attribute, "" if it is absent.
func (s *Span) attrText(key string) string {
	v, ok := s.Attr(key)
	if !ok {
		return ""
	}
	return v.String()
}

// callKind returns the kind of call that a span is, or nil.
func (c *check) callKind(s *Span) *CallKind {
	for i := range c.config.calls {
		k := &c.config.calls[i]
		if _, ok := s.Attr(k.mark()); !ok || s.Kind != k.Span {
			continue
		}
		for _, not := range c.config.notCalls {
			if not(s) {
				return nil
			}
		}
		return k
	}
	return nil
}

// lineKind returns the kind of call that a line is the request log line of, or nil.
func (c *check) lineKind(l *Line) *CallKind {
	for i := range c.config.calls {
		if k := &c.config.calls[i]; k.Message != "" && k.Message == l.Message {
			return k
		}
	}
	return nil
}

// isUnlogged reports whether a call needs no request log line: it is declared,
// or its service has no log sink.
func (c *check) isUnlogged(s *Span) bool {
	if !c.logs(s.Service) {
		return true
	}
	for _, is := range c.config.unlogged {
		if is(s) {
			return true
		}
	}
	return false
}

// logs reports whether lines of the service are in the run. A sink without a
// service may hold anybody's.
func (c *check) logs(service string) bool { return c.loggers[service] || c.loggers[""] }
