// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
)

// Attempt is one try of a client's call: one observation and, if the call's span
// is recorded, a span that is a child of it. Attempts of one call may be under
// way at the same time, each on its own goroutine; the methods of one attempt
// are called by one goroutine at a time, except for its finish.
type Attempt struct {
	call     *Call
	ctx      context.Context // with span: what other propagators tell the identity from
	span     trace.Span      // nil: the call's span is not recorded
	start    time.Time
	finished atomic.Bool
}

// StartAttempt is [Call.StartAttempt] of the innermost call in ctx. It returns
// nil if that is not a client's call of this Recorder.
func (r *Recorder) StartAttempt(ctx context.Context) (context.Context, *Attempt) {
	c := FromContext(ctx)
	if c == nil || c.kind.IsServer() || c.recorder != r {
		return ctx, nil
	}
	return c.StartAttempt(ctx)
}

// StartAttempt begins an attempt of a client's call in ctx, which is derived from
// the call, and returns ctx with the attempt's span. The attempt has to be begun
// with [Attempt.Begin] and finished.
//
// A call whose span is not recorded gives its attempts no spans: then ctx comes
// back as it is, the identity to be sent is the call's own, and the attempt costs
// one allocation.
func (c *Call) StartAttempt(ctx context.Context) (context.Context, *Attempt) {
	a := &Attempt{call: c}
	if !c.recording {
		a.start = time.Now()
		return ctx, a
	}
	name, start := c.attemptSpan()
	ctx, a.span = c.recorder.tracer.Start(ctx, name, start...)
	a.ctx = ctx
	if clocked, ok := a.span.(interface{ StartTime() time.Time }); ok {
		a.start = clocked.StartTime()
	} else {
		a.start = time.Now()
	}
	if c.rpc == nil && a.span.IsRecording() {
		a.span.SetAttributes(c.http.sent...)
	}
	return ctx, a
}

// attemptSpan returns what the span of an attempt starts with. Attempts over
// gRPC are named as gRFC A72 has it; attempts over HTTP as the call, as the
// conventions have it.
func (c *Call) attemptSpan() (string, []trace.SpanStartOption) {
	if c.rpc != nil {
		return "Attempt." + strings.ReplaceAll(c.rpc.name, "/", "."), c.rpc.start
	}
	return semconv.HTTPSpanName(c.http.method, ""), c.http.host.start
}

// Begin counts the attempt: as one more of the call or, for a transparent
// retry, which repeats an attempt that the server has not seen, not at all.
func (a *Attempt) Begin(transparent bool) {
	n := a.call.attempts.Load()
	if !transparent {
		n = a.call.attempts.Add(1) - 1
	}
	switch {
	case a.span == nil || !a.span.IsRecording():
	case a.call.rpc != nil:
		a.span.SetAttributes(semconv.PreviousRPCAttemptsKey.Int(int(n)), semconv.TransparentRetryKey.Bool(transparent))
	default: // the number tells it from the call, which has its name and its attributes
		a.span.SetAttributes(semconv.AttemptKey.Int(int(n) + 1))
		if n > 0 {
			a.span.SetAttributes(semconv.HTTPRequestResendCountKey.Int(int(n)))
		}
	}
}

// SetPeer notes the address the attempt was sent to.
func (a *Attempt) SetPeer(addr net.Addr) {
	if a.span != nil && a.span.IsRecording() {
		a.span.SetAttributes(a.call.recorder.addresses.get(addr).peer...)
	}
}

// Outgoing returns what the attempt's headers are to say in place of what the
// call's say: traceparent and tracestate, both of them. Without a Traceparent
// the call's headers are right as they are: the attempt has no span of its own,
// or the host may not be told, or the traceparent is not among the formats that
// are sent.
func (a *Attempt) Outgoing() Outgoing {
	c := a.call
	if a.span == nil || !c.allowed || !c.recorder.w3c {
		return Outgoing{}
	}
	sc := a.span.SpanContext()
	if !sc.IsValid() {
		return Outgoing{}
	}
	flags := sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom)
	out := Outgoing{Traceparent: "00-" + a.traceID() + "-" + sc.SpanID().String() + "-" + flags.String()}
	if ts := sc.TraceState(); ts.Len() > 0 {
		out.Tracestate = ts.String()
	}
	return out
}

// Inject writes what propagators beyond W3C's have to say of the attempt into
// carrier, in place of what they have said of the call; see [Call.Inject]. It
// writes nothing if the attempt has no span of its own.
func (a *Attempt) Inject(carrier func() ctxutil.Carrier) {
	if a.span == nil || a.call.recorder.others == nil || !a.call.allowed {
		return
	}
	a.call.recorder.others.Inject(a.ctx, beyondW3C{carrier()})
}

// traceID is the trace id of an attempt with a span: the call's, but for tracers
// that do as they like.
func (a *Attempt) traceID() string {
	if id := a.span.SpanContext().TraceID(); id != a.call.SpanContext().TraceID() {
		return id.String()
	}
	return a.call.TraceID()
}

// Finish ends an attempt over gRPC. message describes an error. Only the first
// finish counts.
func (a *Attempt) Finish(s *RPCStatus, message string) {
	if a.finished.Swap(true) {
		return
	}
	end := a.end(s.spanStatus(), message, s.attrs[a.call.recorder.rpcMode])
	a.call.rpc.metrics.Attempt(s.code, s.errorType, end.Sub(a.start), a.exemplar(end))
}

// FinishHTTP ends an attempt over HTTP. message describes an error. Only the
// first finish counts.
func (a *Attempt) FinishHTTP(s *HTTPStatus, message string) {
	if a.finished.Swap(true) {
		return
	}
	end := a.end(s.spanStatus(), message, s.attrs)
	a.call.http.host.metrics.Attempt(s.code, s.errorType, end.Sub(a.start), a.exemplar(end))
}

// end ends the attempt's span, if there is one, and returns the time at which.
func (a *Attempt) end(status codes.Code, message string, attrs []attribute.KeyValue) time.Time {
	end := time.Now()
	if a.span == nil {
		return end
	}
	if a.span.IsRecording() {
		a.span.SetAttributes(attrs...)
		if status != codes.Unset {
			a.span.SetStatus(status, bounded(message))
		}
	}
	a.span.End(trace.WithTimestamp(end))
	return end
}

// exemplar leads from an observation to the attempt.
func (a *Attempt) exemplar(end time.Time) metrics.Exemplar {
	if a.span == nil || !a.span.SpanContext().IsSampled() {
		return metrics.Exemplar{}
	}
	return metrics.Exemplar{TraceID: a.traceID(), SpanID: a.span.SpanContext().SpanID().String(), Sampled: true, At: end}
}
