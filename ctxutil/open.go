// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/internal/semconv"
)

// OpenOption configures [Envelope.Open] and [Envelope.Do].
type OpenOption interface{ applyOpen(*openConfig) }

type openConfig struct {
	logger   *slog.Logger
	provider trace.TracerProvider
	ingress  Ingress
	forward  *Forward
	redact   func(slog.Attr) slog.Attr
}

type openOption func(*openConfig)

func (o openOption) applyOpen(c *openConfig) { o(c) }

// WithTracerProvider sets who makes the consumer's span. The default, and nil, is
// the global tracer provider, which makes none until an SDK is installed.
func WithTracerProvider(tp trace.TracerProvider) OpenOption {
	return openOption(func(c *openConfig) { c.provider = tp })
}

// WithIngress says whether those who fill the queue are believed. The default is
// [Trusted]. With [Public] the work starts a trace of its own with a link to the
// producer's, and of the envelope keeps the correlation id and the deadline only.
func WithIngress(i Ingress) OpenOption {
	return openOption(func(c *openConfig) { c.ingress = i })
}

// WithForward sets which business headers are taken over from the envelope. The
// default, and nil, is all of them, up to [DefaultForwardValues] and
// [DefaultForwardBytes]; which of those a call sends on, the client's allow-list
// says.
func WithForward(f *Forward) OpenOption {
	return openOption(func(c *openConfig) { c.forward = f })
}

// WithRedact sets what is applied to attributes given to [Add] before they reach
// the span, usually a logging.Redactor's Attr method. The default, and nil,
// changes nothing.
func WithRedact(redact func(slog.Attr) slog.Attr) OpenOption {
	return openOption(func(c *openConfig) { c.redact = redact })
}

// Open returns the context in which to do the work that e came with: ctx, which is
// the consumer's and decides when to stop, with the identity in e. It starts a
// consumer span of that name in the producer's trace, below the producer's span
// and with a link to it. The context has attributes of its own ([Add]).
//
// Without an SDK the identity in e goes on as it is; where there is none, a new one
// is made. Open never fails.
//
// The second result ends the work, with its error or nil, and must be called; only
// the first call counts. The error is recorded on the span and not logged, and a
// panic is not recovered: see [Envelope.Do].
func (e Envelope) Open(ctx context.Context, name string, opts ...OpenOption) (context.Context, func(error)) {
	w := e.open(ctx, name, opts)
	return w.ctx, w.finish
}

// Do opens e, calls f and ends the work. Its error is f's, and recorded on the
// span; a panic is logged and becomes a [*PanicError], so that one message cannot
// stop the consumer.
func (e Envelope) Do(ctx context.Context, name string, f func(context.Context) error, opts ...OpenOption) error {
	return e.open(ctx, name, opts).run(f)
}

func (e Envelope) open(ctx context.Context, name string, opts []OpenOption) *work {
	var c openConfig
	for _, o := range opts {
		o.applyOpen(&c)
	}
	if c.provider == nil {
		c.provider = otel.GetTracerProvider()
	}
	w := &work{name: name, logger: c.logger, returns: true, provider: c.provider}
	ctx, w.cancel = e.withDeadline(ctx)

	producer := e.spanContext()
	spanOpts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(semconv.MessagingOperationTypeKey.String("process")),
	}
	if producer.IsValid() {
		spanOpts = append(spanOpts, trace.WithLinks(trace.Link{SpanContext: producer}))
	}
	parent := producer
	if c.ingress == Public {
		parent = trace.SpanContext{}
	} else {
		ctx = e.withBaggage(ctx)
	}
	// In place of whatever span the consumer itself is in.
	w.ctx = trace.ContextWithSpanContext(ctx, parent)
	w.startSpan(spanOpts...)
	unrecorded := !w.span.SpanContext().IsValid()
	if unrecorded {
		w.ctx = trace.ContextWithSpanContext(ctx, scope.NewSpanContext(parent.TraceID()))
	}
	w.adopt()
	w.own.SetRedact(c.redact)
	w.own.Unrecorded = unrecorded
	w.own.CorrelationID, _ = SafeID(e[KeyRequestID])
	if c.ingress != Public {
		w.own.Forwarded = e.forwarded(c.forward)
	}
	w.count()
	return w
}
