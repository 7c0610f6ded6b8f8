// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"context"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// serviceNameKey is the resource attribute, and the log key, of a service's
// name. This and the other names are written out by hand on purpose: a checker
// that took them from the code it checks would agree with any mistake there.
const serviceNameKey = "service.name"

// spanKey identifies a span.
type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

func keyOf(sc trace.SpanContext) spanKey { return spanKey{sc.TraceID(), sc.SpanID()} }

// spanEntry is what is known of one span so far.
type spanEntry struct {
	span         Span
	starts, ends int
}

// processor feeds a Recorder. It is a value of its own to keep OnStart and OnEnd
// out of the Recorder's method set.
type processor struct{ r *Recorder }

var _ sdktrace.SpanProcessor = processor{}

// OnStart notes that a span exists, so that it is missed if it never ends.
func (p processor) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	r := p.r
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(s)
	if e == nil {
		r.lostSpans++
		return
	}
	e.starts++
	if e.starts > e.ends {
		r.open++
	}
}

// OnEnd takes over the span as it ended.
func (p processor) OnEnd(s sdktrace.ReadOnlySpan) {
	r := p.r
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry(s)
	if e == nil {
		return // counted when it started
	}
	e.ends++
	if e.starts >= e.ends {
		r.open--
	}
	if e.ends > 1 {
		return // the first end is the one that others have seen
	}
	e.span.Name = s.Name()
	e.span.End = s.EndTime()
	e.span.Status = s.Status().Code
	e.span.StatusMessage = s.Status().Description
	e.span.Attributes = s.Attributes()
	e.span.Links = s.Links()
	e.span.Events = s.Events()
}

// ForceFlush does nothing: nothing is held back.
func (processor) ForceFlush(context.Context) error { return nil }

// Shutdown does nothing: a provider that stops leaves its spans to be checked.
func (processor) Shutdown(context.Context) error { return nil }

// entry returns what is known of s, or nil if there is no room for it.
func (r *Recorder) entry(s sdktrace.ReadOnlySpan) *spanEntry {
	key := keyOf(s.SpanContext())
	if e := r.spans[key]; e != nil {
		return e
	}
	if len(r.order) >= r.config.maxSpans {
		return nil
	}
	e := &spanEntry{span: Span{
		Name:    s.Name(),
		Service: r.serviceName(s.Resource()),
		Scope:   s.InstrumentationScope().Name,
		Kind:    s.SpanKind(),
		Context: s.SpanContext(),
		Parent:  s.Parent(),
		Start:   s.StartTime(),
	}}
	r.spans[key] = e
	r.order = append(r.order, e)
	return e
}

// serviceName returns the service a resource belongs to.
func (r *Recorder) serviceName(res *resource.Resource) string {
	if res == nil {
		return ""
	}
	name, ok := r.serviceNames[res]
	if !ok {
		if v, has := res.Set().Value(serviceNameKey); has {
			name = v.AsString()
		}
		r.serviceNames[res] = name
	}
	return name
}

// watchedSampler tells a Recorder which traces were dropped.
type watchedSampler struct {
	r     *Recorder
	inner sdktrace.Sampler
}

func (s watchedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := s.inner.ShouldSample(p)
	if result.Decision == sdktrace.Drop {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		if len(s.r.unsampled) < s.r.config.maxSpans {
			s.r.unsampled[p.TraceID] = struct{}{}
		}
	}
	return result
}

func (s watchedSampler) Description() string { return s.inner.Description() }
