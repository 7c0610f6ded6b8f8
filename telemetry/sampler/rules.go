// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Attributes a rule looks at; names of the OpenTelemetry semantic conventions.
const (
	keyHTTPRoute  = attribute.Key("http.route")
	keyURLPath    = attribute.Key("url.path")
	keyRPCMethod  = attribute.Key("rpc.method")
	keyRPCService = attribute.Key("rpc.service")
)

// Rule sends the spans it matches to its sampler. Every condition that is set
// has to match; at least one has to be set. In the patterns `*` stands for any
// run of characters, slashes included, and everything else for itself.
type Rule struct {
	// SpanName matches the name given to Start, such as "GET /orders/*".
	SpanName string
	// Route matches the attribute http.route, such as "/orders/{id}". Most routers
	// find the route after the span has started: use Path for those.
	Route string
	// Path matches the attribute url.path, such as "/healthz".
	Path string
	// RPCMethod matches the full method "package.Service/Method", with or without
	// a leading slash: the attribute rpc.method, preceded by rpc.service if that
	// is apart.
	RPCMethod string
	// Kind matches the kind of the span; the zero value matches every kind.
	Kind trace.SpanKind
	// Sampler decides about the spans matched; it must not be nil.
	Sampler sdktrace.Sampler
}

type rules struct {
	rules    []Rule
	fallback sdktrace.Sampler
}

// Rules asks the sampler of the first rule that matches, and fallback if none
// does. It panics if fallback is nil.
func Rules(fallback sdktrace.Sampler, list ...Rule) (sdktrace.Sampler, error) {
	if fallback == nil {
		panic("sampler: Rules: nil fallback")
	}
	var errs []error
	for i, r := range list {
		if r.Sampler == nil {
			errs = append(errs, fmt.Errorf("sampler: Rules: rule %d: Sampler is nil", i))
		}
		if r.SpanName == "" && r.Route == "" && r.Path == "" && r.RPCMethod == "" && r.Kind == trace.SpanKindUnspecified {
			errs = append(errs, fmt.Errorf("sampler: Rules: rule %d: no condition is set", i))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &rules{rules: slices.Clone(list), fallback: fallback}
	for i := range s.rules {
		s.rules[i].RPCMethod = strings.TrimPrefix(s.rules[i].RPCMethod, "/")
	}
	return s, nil
}

func (s *rules) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	for i := range s.rules {
		if s.rules[i].matches(&p) {
			return s.rules[i].Sampler.ShouldSample(p)
		}
	}
	return s.fallback.ShouldSample(p)
}

func (s *rules) Description() string {
	var b strings.Builder
	b.WriteString("Rules{")
	for i := range s.rules {
		b.WriteString(s.rules[i].describe())
		b.WriteByte(',')
	}
	fmt.Fprintf(&b, "fallback:%s}", s.fallback.Description())
	return b.String()
}

func (r *Rule) describe() string {
	var conditions []string
	add := func(name, pattern string) {
		if pattern != "" {
			conditions = append(conditions, name+"="+pattern)
		}
	}
	add("name", r.SpanName)
	add("route", r.Route)
	add("path", r.Path)
	add("rpc", r.RPCMethod)
	if r.Kind != trace.SpanKindUnspecified {
		add("kind", r.Kind.String())
	}
	return strings.Join(conditions, "&") + ":" + r.Sampler.Description()
}

func (r *Rule) matches(p *sdktrace.SamplingParameters) bool {
	// Start leaves the kind unset for the default, which is internal.
	if r.Kind != trace.SpanKindUnspecified && r.Kind != trace.ValidateSpanKind(p.Kind) {
		return false
	}
	return (r.SpanName == "" || glob(r.SpanName, p.Name)) &&
		(r.Route == "" || matchesAttribute(r.Route, p.Attributes, keyHTTPRoute)) &&
		(r.Path == "" || matchesAttribute(r.Path, p.Attributes, keyURLPath)) &&
		(r.RPCMethod == "" || matchesMethod(r.RPCMethod, p.Attributes))
}

// matchesAttribute is false for a span without the attribute, even for "*".
func matchesAttribute(pattern string, attrs []attribute.KeyValue, key attribute.Key) bool {
	value := lookup(attrs, key)
	return value != "" && glob(pattern, value)
}

func matchesMethod(pattern string, attrs []attribute.KeyValue) bool {
	method := strings.TrimPrefix(lookup(attrs, keyRPCMethod), "/")
	if service := lookup(attrs, keyRPCService); service != "" && !strings.Contains(method, "/") {
		method = service + "/" + method
	}
	return method != "" && glob(pattern, method)
}

func lookup(attrs []attribute.KeyValue, key attribute.Key) string {
	for _, kv := range attrs {
		if kv.Key == key {
			return kv.Value.AsString()
		}
	}
	return ""
}
