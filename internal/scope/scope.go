// SPDX-License-Identifier: Apache-2.0

// Package scope holds the one value that a call puts into its context.
//
// A [Scope] is itself the context that carries it: putting the scope in place
// costs no allocation beyond the scope, and a call record that embeds one costs
// none at all. Package ctxutil is the public face of it; nothing outside this
// module sees it.
package scope

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// inlineAttrs is how many request attributes fit before a scope allocates for them.
const inlineAttrs = 4

// MaxAttrs bounds the attributes one scope keeps; those past it are counted, not kept.
const MaxAttrs = 64

// noLevel says that no per-request log level is set.
const noLevel = math.MinInt64

type key struct{}

// parent lets Scope embed a context without exporting a field.
type parent = context.Context

// Header is one forwarded business header: a lower-case key and its values.
type Header struct {
	Key    string
	Values []string
}

// Scope is what a call carries: its identity, its attributes, its forwarded
// headers and its log level. It is a context whose parent is the one given to
// [Scope.Init]. Its methods are safe for concurrent use after Init; Init itself,
// and the exported fields, are written before the scope is shared and not after.
type Scope struct {
	parent

	// Span is the call's span; never nil after Init.
	Span trace.Span
	// CorrelationID is the caller's own id (X-Request-ID, or an X-Trace-ID that
	// is no trace id), validated and bounded; empty if there was none.
	CorrelationID string
	// Forwarded holds the allow-listed headers that travel on to the next hop.
	Forwarded []Header
	// Owner is the record that the scope is part of; nil if there is none.
	Owner any
	// Unrecorded says that no tracer knows this identity: it was made up so
	// that logs correlate. Sent on as a traceparent it would tell the next hop
	// that somebody decided against sampling, so only its trace id is sent.
	Unrecorded bool

	spanContext trace.SpanContext
	// traceparent is "00-<trace id>-<span id>-<flags>"; both ids are cut from it.
	traceparent string

	level    atomic.Int64
	finished atomic.Bool
	// redact is applied to every attribute before it reaches the span.
	redact func(slog.Attr) slog.Attr

	mu      sync.Mutex
	attrs   []slog.Attr
	inline  [inlineAttrs]slog.Attr
	dropped int
}

// Init makes s carry span on top of ctx, which must hold that span already.
func (s *Scope) Init(ctx context.Context, span trace.Span) {
	s.parent = ctx
	s.Span = span
	s.spanContext = span.SpanContext()
	s.traceparent = formatTraceparent(s.spanContext)
	s.level.Store(noLevel)
	s.attrs = s.inline[:0]
}

// SetRedact installs the redaction applied to attributes before they reach the
// span. It must be called before the scope is shared; nil changes nothing.
func (s *Scope) SetRedact(redact func(slog.Attr) slog.Attr) { s.redact = redact }

// Value returns s for the scope's own key, otherwise the parent's value.
func (s *Scope) Value(k any) any {
	if _, ok := k.(key); ok {
		return s
	}
	return s.parent.Value(k)
}

// Parent returns the context that s was initialised with.
func (s *Scope) Parent() context.Context { return s.parent }

// From returns the innermost scope in ctx, or nil.
func From(ctx context.Context) *Scope {
	if ctx == nil {
		return nil
	}
	s, _ := ctx.Value(key{}).(*Scope)
	return s
}

// SpanContext returns the identity of the call's span.
func (s *Scope) SpanContext() trace.SpanContext { return s.spanContext }

// Traceparent returns the W3C header value of the call's span, or "" if it has none.
func (s *Scope) Traceparent() string { return s.traceparent }

// TraceID returns the trace id as 32 lower-case hex digits, or "".
func (s *Scope) TraceID() string {
	if s.traceparent == "" {
		return ""
	}
	return s.traceparent[3:35]
}

// SpanID returns the span id as 16 lower-case hex digits, or "".
func (s *Scope) SpanID() string {
	if s.traceparent == "" {
		return ""
	}
	return s.traceparent[36:52]
}

// Finish marks the call as over. What is added later still reaches records
// that are logged with its context.
func (s *Scope) Finish() { s.finished.Store(true) }

// Finished reports whether the call is over.
func (s *Scope) Finished() bool { return s.finished.Load() }

// SetLevel sets the least level logged for this request.
func (s *Scope) SetLevel(l slog.Level) { s.level.Store(int64(l)) }

// Level returns the request's log level, and whether one is set.
func (s *Scope) Level() (slog.Level, bool) {
	v := s.level.Load()
	return slog.Level(v), v != noLevel
}

// Add appends attributes. A key that is there already gets the new value in its
// old place. The caller sets them on the span.
func (s *Scope) Add(attrs ...slog.Attr) {
	s.mu.Lock()
	defer s.mu.Unlock()
next:
	for _, a := range attrs {
		if a.Key == "" {
			continue
		}
		for i := range s.attrs {
			if s.attrs[i].Key == a.Key {
				s.attrs[i] = a
				continue next
			}
		}
		if len(s.attrs) >= MaxAttrs {
			s.dropped++
			continue
		}
		s.attrs = append(s.attrs, a)
	}
}

// Redact returns a as the span may see it.
func (s *Scope) Redact(a slog.Attr) slog.Attr {
	if s.redact == nil {
		return a
	}
	return s.redact(a)
}

// AppendAttrs appends the request's attributes to dst, in the order they were added.
func (s *Scope) AppendAttrs(dst []slog.Attr) []slog.Attr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(dst, s.attrs...)
}

// Dropped returns how many attributes did not fit.
func (s *Scope) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// formatTraceparent writes sc as a version-00 traceparent, or "" if it is invalid.
func formatTraceparent(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	tid, sid := sc.TraceID(), sc.SpanID()
	flags := [1]byte{byte(sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom))}
	var b [55]byte
	b[0], b[1], b[2], b[35], b[52] = '0', '0', '-', '-', '-'
	hex.Encode(b[3:35], tid[:])
	hex.Encode(b[36:52], sid[:])
	hex.Encode(b[53:55], flags[:])
	return string(b[:])
}
