// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/metrics"
)

// Span attributes of attempts, as gRPC's own OpenTelemetry plugin names them
// (gRFC A72, https://github.com/grpc/proposal/blob/master/A72-open-telemetry-tracing.md).
const (
	previousAttemptsKey = attribute.Key("previous-rpc-attempts")
	transparentRetryKey = attribute.Key("transparent-retry")
)

// Attempt is one try of a client's call: a child of the call's span, and one
// observation. Its methods are called by one goroutine at a time.
type Attempt struct {
	call  *Call
	span  trace.Span
	start time.Time
}

// StartAttempt begins an attempt of the innermost call in ctx, and returns ctx
// with the attempt's span. It returns nil if that call is not a client's gRPC
// call of this Recorder.
func (r *Recorder) StartAttempt(ctx context.Context) (context.Context, *Attempt) {
	c := FromContext(ctx)
	if c == nil || c.kind != RPCClient || c.recorder != r {
		return ctx, nil
	}
	ctx, span := r.tracer.Start(ctx, c.rpc.attemptName(), c.rpc.start...)
	a := &Attempt{call: c, span: span, start: time.Now()}
	if clocked, ok := span.(interface{ StartTime() time.Time }); ok {
		a.start = clocked.StartTime()
	}
	return ctx, a
}

// attemptName names the spans of attempts as gRFC A72 has it.
func (m *RPC) attemptName() string { return "Attempt." + strings.ReplaceAll(m.name, "/", ".") }

// Begin counts the attempt: as one more of the call or, for a transparent
// retry, which repeats an attempt that the server has not seen, not at all.
func (a *Attempt) Begin(transparent bool) {
	n := a.call.attempts.Load()
	if !transparent {
		n = a.call.attempts.Add(1) - 1
	}
	if a.span.IsRecording() {
		a.span.SetAttributes(previousAttemptsKey.Int(int(n)), transparentRetryKey.Bool(transparent))
	}
}

// SetPeer notes the address the attempt was sent to.
func (a *Attempt) SetPeer(addr net.Addr) {
	if a.span.IsRecording() {
		a.span.SetAttributes(a.call.recorder.addresses.get(addr).peer...)
	}
}

// Finish ends the attempt; it is called once. message describes an error.
func (a *Attempt) Finish(s *RPCStatus, message string) {
	end := time.Now()
	if a.span.IsRecording() {
		a.span.SetAttributes(s.attrs[a.call.recorder.rpcMode]...)
		if status := s.spanStatus(); status != codes.Unset {
			a.span.SetStatus(status, bounded(message))
		}
	}
	a.span.End(trace.WithTimestamp(end))
	var ex metrics.Exemplar
	if sc := a.span.SpanContext(); sc.IsSampled() {
		ex = metrics.Exemplar{TraceID: a.call.TraceID(), SpanID: sc.SpanID().String(), Sampled: true, At: end}
	}
	a.call.rpc.metrics.Attempt(s.code, s.errorType, end.Sub(a.start), ex)
}
