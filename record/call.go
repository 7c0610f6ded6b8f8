// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/resilience"
)

// Call is the record of one call, and the context of whatever is done for it.
// It is made by one of a [Recorder]'s Start methods and finished exactly once:
// a second finish does nothing. Calls are not reused, so a context that
// outlives its call stays valid, with everything added to it.
//
// Methods that add to the record are safe for concurrent use.
type Call struct {
	scope.Scope

	recorder  *Recorder
	kind      Kind
	recording bool
	external  bool // the span belongs to another instrumentation
	finished  atomic.Bool
	start     time.Time
	end       time.Time

	sent, received         atomic.Int64
	requestSize, replySize int64 // bytes; negative if unknown
	peer                   atomic.Pointer[address]
	rpc                    *RPC // calls over gRPC
	http                   httpCall
	attempts               atomic.Int32 // clients: tries of the call, if anybody counts them
	degraded, retryReason  atomic.Pointer[string]
	degradedBy             string // as span and line have it
	limit                  atomic.Pointer[context.Context]
	refused                atomic.Bool
	allowed                bool // clients: the egress guard lets identity out
	panicked               atomic.Pointer[caught]
	outcome                resilience.Outcome
}

// httpCall is what only calls over HTTP have.
type httpCall struct {
	method, scheme, path string
	pattern              string // servers: as ServeMux matched it
	peer                 string
	protocol             string               // clients: of the response
	deadline             time.Time            // servers: the caller's
	host                 *host                // clients
	sent                 []attribute.KeyValue // clients: what a recorded span says of the request
	server               *metrics.HTTPServer  // servers
}

// Kind says which side of which protocol a call is seen from.
type Kind uint8

// The kinds of call.
const (
	RPCServer Kind = iota
	RPCClient
	HTTPServer
	HTTPClient
)

// IsServer reports whether the call is seen from the side that serves it.
func (k Kind) IsServer() bool { return k == RPCServer || k == HTTPServer }

// caught is a panic on its way through the record.
type caught struct {
	value any
	stack []byte
}

// FromContext returns the innermost call in ctx, or nil. Work that was detached
// from a call belongs to it no longer.
func FromContext(ctx context.Context) *Call {
	s := scope.From(ctx)
	if s == nil {
		return nil
	}
	c, _ := s.Owner.(*Call)
	return c
}

// begin starts the call's span in ctx, or gives the call an identity where
// there is none, and makes c the context of both.
func (c *Call) begin(ctx context.Context, name string, opts []trace.SpanStartOption) {
	parent := scope.From(ctx)
	ctx, span := c.recorder.tracer.Start(ctx, name, opts...)
	c.keepUnrecorded(parent, span)
	if !span.SpanContext().IsValid() {
		ctx, span = c.identify(ctx)
	}
	c.adopt(ctx, span)
}

// keepUnrecorded notes that span, started under parent, is but parent's
// identity, which no tracer knows.
func (c *Call) keepUnrecorded(parent *scope.Scope, span trace.Span) {
	if parent != nil && parent.Unrecorded && parent.SpanContext().SpanID() == span.SpanContext().SpanID() {
		c.Unrecorded = true
	}
}

// identify returns ctx with the identity it has or, if it has none, with one
// that no tracer knows.
func (c *Call) identify(ctx context.Context) (context.Context, trace.Span) {
	if sc := trace.SpanContextFromContext(ctx); !sc.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, scope.NewSpanContext(sc.TraceID()))
		c.Unrecorded = true
	}
	return ctx, trace.SpanFromContext(ctx)
}

// adopt makes c the context of a span that runs already.
func (c *Call) adopt(ctx context.Context, span trace.Span) {
	c.Init(ctx, span)
	c.Owner = c
	c.SetRedact(c.recorder.redact)
	c.recording = span.IsRecording()
	c.requestSize, c.replySize = -1, -1
	if clocked, ok := span.(interface{ StartTime() time.Time }); ok && c.recording {
		c.start = clocked.StartTime()
	} else {
		c.start = time.Now()
	}
}

// claim reports whether the caller is the one to finish the call: true for the
// first, false ever after.
func (c *Call) claim() bool {
	if !c.finished.CompareAndSwap(false, true) {
		return false
	}
	c.Finish()
	c.degradedBy = c.Degraded()
	return true
}

// stop ends the span and reads the clock, once for everybody.
func (c *Call) stop(status codes.Code, message string, attrs []attribute.KeyValue) {
	if !c.recording {
		c.end = time.Now()
		return
	}
	if p := c.panicked.Load(); p != nil {
		c.Span.AddEvent(semconv.ExceptionEvent, trace.WithAttributes(p.attributes()...))
	}
	if c.degradedBy != "" {
		c.Span.SetAttributes(semconv.DegradedKey.String(bounded(c.degradedBy)))
	}
	if c.external {
		c.end = time.Now()
		return
	}
	c.Span.SetAttributes(attrs...)
	if status != codes.Unset {
		c.Span.SetStatus(status, bounded(message))
	}
	if clocked, ok := c.Span.(interface{ EndTime() time.Time }); ok {
		c.Span.End()
		c.end = clocked.EndTime()
	} else {
		c.end = time.Now()
		c.Span.End(trace.WithTimestamp(c.end))
	}
}

// Duration returns how long the call took: the time between the two clock
// readings that span, histogram and log line share. Before the call is
// finished it is zero.
func (c *Call) Duration() time.Duration {
	if c.end.IsZero() {
		return 0
	}
	return c.end.Sub(c.start)
}

// exemplar leads from an observation to the call's trace.
func (c *Call) exemplar() metrics.Exemplar {
	if !c.SpanContext().IsSampled() {
		return metrics.Exemplar{}
	}
	return metrics.Exemplar{TraceID: c.TraceID(), SpanID: c.SpanID(), Sampled: true, At: c.end}
}

// SetSizes notes the sizes of the request and of the reply in bytes; negative
// means unknown. It is called before the call is finished, by one goroutine.
func (c *Call) SetSizes(request, reply int64) { c.requestSize, c.replySize = request, reply }

// Panicked notes a panic that ended the call: its value and stack go to the
// span and to the request log, and nowhere else. The first one counts. A panic
// that began on another goroutine, and says so by a method of the same name, as
// hedge's does, is noted as it was there.
func (c *Call) Panicked(value any, stack []byte) {
	if from, ok := value.(interface{ Panicked() (any, []byte) }); ok {
		value, stack = from.Panicked()
	}
	if c.panicked.CompareAndSwap(nil, &caught{value: value, stack: stack}) {
		c.recorder.metrics.Panic(c.kind.panicSource(), c.exemplar())
	}
}

// HasPanicked reports whether a panic was noted.
func (c *Call) HasPanicked() bool { return c.panicked.Load() != nil }

// Kind returns the side and the protocol the call is seen from.
func (c *Call) Kind() Kind { return c.kind }

// SetLimit notes the context, derived from the call, whose deadline is a limit
// of this process: should that be what ends the call, it has timed out. The
// last one counts.
func (c *Call) SetLimit(ctx context.Context) { c.limit.Store(&ctx) }

// TimedOut reports whether the deadline that ended the call was a limit of this
// process. It is asked of calls that a deadline ended: a peer that was told our
// limit may notice a moment before our own clock does, and it is ours all the
// same.
func (c *Call) TimedOut() bool {
	limit := c.limit.Load()
	return limit != nil && (ctxutil.EndedBy(*limit) == ctxutil.EndTimeout || ctxutil.DeadlineIsOwn(*limit))
}

// EndedBy says who ended the call's context, if anybody did: the limit of
// [Call.SetLimit] counts if it was time that ended it, since its adapter cancels
// it when it is done with it.
func (c *Call) EndedBy() ctxutil.End {
	if limit := c.limit.Load(); limit != nil {
		if by := ctxutil.EndedBy(*limit); by == ctxutil.EndTimeout || by == ctxutil.EndCallerDeadline {
			return by
		}
	}
	return ctxutil.EndedBy(c)
}

// Recording reports whether the call's span is recorded, so that what only a span
// shows need not be gathered otherwise.
func (c *Call) Recording() bool { return c.recording }

// Event adds an event to the call's span if that is recorded and not ended yet.
// Attributes cost an allocation wherever Event is called: ask [Call.Recording]
// first.
func (c *Call) Event(name string, attrs ...attribute.KeyValue) {
	if c.recording {
		c.Span.AddEvent(name, trace.WithAttributes(attrs...))
	}
}

// Attempts returns how often the call was tried so far, if the attempts are
// recorded; otherwise 0.
func (c *Call) Attempts() int { return int(c.attempts.Load()) }

// NoteRefused notes that a policy of this process refused the call before it
// was sent or handled.
func (c *Call) NoteRefused() { c.refused.Store(true) }

// Refused reports whether a policy of this process refused the call.
func (c *Call) Refused() bool { return c.refused.Load() }

// Logs reports whether a line will be written for this call if it ends with o,
// so that adapters need not gather what only the log shows.
func (c *Call) Logs(o resilience.Outcome) bool {
	_, ok := c.levelOf(o, c.rpc != nil && c.rpc.quiet)
	return ok
}
