// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// DetachedKey is the key of the attribute by which logs of detached work tell so;
// its value is the name of the work.
const DetachedKey = "detached"

// Detach runs f on a goroutine of its own, as [Go] does, but for work that
// outlives the request in ctx: its reply, its cancellation and its deadline. f
// gets the request's identity and values, and timeout as a deadline of its own,
// with [ErrTimeout] as the cause. With timeout ≤ 0 that has passed already.
//
// If the request is traced, f runs in a child span with a link to the request's
// span and the attribute fairlead.detached. It starts with a copy of the
// request's attributes, log level and forwarded headers; from then on, what f
// adds ([Add]) is on its own span and log records, which also say [DetachedKey],
// and no longer on the request's.
//
// Nobody waits for detached work when the process ends; [Goroutines] tells how
// much there is.
func Detach(ctx context.Context, name string, timeout time.Duration, f func(context.Context) error, opts ...WorkOption) {
	w := newWork(ctx, name, opts)
	w.ctx = context.WithoutCancel(ctx)
	w.startDetached(timeout)
	go func() { _ = w.run(f) }() // logged, there is nobody to return it to
}

// Detached returns the context that [Detach] gives its function, for detached
// work on the caller's goroutine or on one that exists already: to undo what a
// canceled request began, for instance. The second result ends the work, with
// its error or nil, and must be called; only the first call counts. The error is
// recorded on the span and not logged, and a panic is not recovered.
func Detached(ctx context.Context, name string, timeout time.Duration, opts ...WorkOption) (context.Context, func(error)) {
	w := newWork(ctx, name, opts)
	w.returns = true
	w.ctx = context.WithoutCancel(ctx)
	w.startDetached(timeout)
	return w.ctx, w.finish
}

// startDetached begins work that outlives its request. The cancellation of its
// context is somebody else's already, not the request's.
func (w *work) startDetached(timeout time.Duration) {
	forwarded := Forwarded(w.ctx)
	w.ctx, w.cancel = withOwnDeadline(w.ctx, time.Now().Add(timeout))
	if w.provider != nil {
		w.startSpan(
			trace.WithLinks(trace.LinkFromContext(w.ctx)),
			trace.WithAttributes(spanAttributes(w.request, detachedKey.Bool(true))...))
	}
	w.adopt()
	w.own.Inherit(w.request)
	w.own.Forwarded = forwarded
	w.own.Add(slog.String(DetachedKey, w.name))
	w.count()
}

// spanAttributes appends the attributes of a request to kvs as a span may see them.
func spanAttributes(request *scope.Scope, kvs ...attribute.KeyValue) []attribute.KeyValue {
	if request == nil {
		return kvs
	}
	for _, a := range request.AppendAttrs(nil) {
		kvs = appendKeyValues(kvs, "", request.Redact(a))
	}
	return kvs
}
