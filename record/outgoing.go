// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"

	"go.opentelemetry.io/otel/baggage"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Outgoing is the identity of a client call as its headers are to tell it.
// Empty fields are not sent.
type Outgoing struct {
	Traceparent string
	Tracestate  string
	Baggage     string
	RequestID   string
	// TraceID is sent as X-Trace-ID in place of Traceparent when no tracer
	// knows the identity: the next hop then joins the trace id, and decides
	// for itself whether to sample.
	TraceID string
	// Forwarded are the allow-listed headers of the request this call is made
	// for. They give way to headers that the call itself has.
	Forwarded []ctxutil.Header
}

// Outgoing returns what to send with this client call: nothing unless the
// Recorder's egress guard allows the host that is called.
func (c *Call) Outgoing() Outgoing {
	if !c.allowed {
		return Outgoing{}
	}
	r := c.recorder
	var out Outgoing
	switch {
	case c.Unrecorded:
		out.TraceID = c.TraceID()
	case r.w3c:
		out.Traceparent = c.Traceparent()
		if ts := c.SpanContext().TraceState(); ts.Len() > 0 {
			out.Tracestate = ts.String()
		}
	}
	if r.w3cBaggage {
		if b := baggage.FromContext(c); b.Len() > 0 {
			out.Baggage = b.String()
		}
	}
	out.RequestID = c.CorrelationID
	for _, h := range c.Forwarded {
		if r.forward.Allows(h.Key) {
			out.Forwarded = append(out.Forwarded, h)
		}
	}
	return out
}

// Inject writes what propagators beyond W3C's have to say (B3, Jaeger, …) into
// carrier, if there are such and the host may be told. W3C's own headers it
// leaves alone: see [Call.Outgoing].
func (c *Call) Inject(carrier func() ctxutil.Carrier) {
	if c.recorder.others == nil || !c.allowed {
		return
	}
	var ctx context.Context = c
	if c.Unrecorded {
		ctx = withoutSpan(ctx)
	}
	c.recorder.others.Inject(ctx, beyondW3C{carrier()})
}
