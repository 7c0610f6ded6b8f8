// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/internal/semconv"
)

// tracerName is the instrumentation scope of the spans made here.
const tracerName = "github.com/fairlead-go/fairlead/ctxutil"

// Attributes of the spans made here.
const (
	// detachedKey (bool) marks work that outlives its request.
	detachedKey = attribute.Key("fairlead.detached")
	// causeKey (string) says why the context of work that did not succeed ended.
	causeKey = attribute.Key("fairlead.cause")
)

// ErrGoexit stands for the error of work that ended its goroutine with
// runtime.Goexit, as testing.T.FailNow does, and so returned none.
var ErrGoexit = errors.New("ctxutil: goroutine ended by runtime.Goexit")

// PanicError is the error of work that panicked. Its text says only that, and
// where: what the value and the stack tell is not for peers. They are in the log
// and on the span already. It does not unwrap to Value, so that a panic with some
// error is not taken for that error.
type PanicError struct {
	Name  string // of the work
	Value any    // given to panic; a *runtime.PanicNilError for nil
	Stack []byte // of the goroutine, as runtime/debug.Stack formats it
}

func (e *PanicError) Error() string { return fmt.Sprintf("ctxutil: panic in %q", e.Name) }

// ending says how work ended.
type ending uint8

const (
	succeeded ending = iota
	failed
	canceled
	panicked
)

// endings names the endings in messages of the log.
var endings = [...]string{"goroutine succeeded", "goroutine failed", "goroutine canceled", "goroutine panicked"}

// work is one function that runs for a request, on a goroutine other than the
// request's or later. It is what Go, Group, Pool, Detach and Envelope share: the
// span, the accounting, and what happens when the function returns, panics or
// exits. It is made by newWork, then started once, then run or ended.
type work struct {
	name     string
	ctx      context.Context
	cancel   context.CancelFunc   // called at the end; may be nil
	logger   *slog.Logger         // nil for slog.Default
	returns  bool                 // the error is returned to somebody, so it is not logged
	provider trace.TracerProvider // of the span to start; nil for none
	span     trace.Span           // nil without a provider
	request  *scope.Scope         // the request this is done for; may be nil
	own      *scope.Scope         // of work that outlives or leaves its request
	over     atomic.Bool

	counters     *goroutineCounters
	since        time.Time
	older, newer *work
}

// newWork prepares work for the request in ctx. Whether it gets a span is decided
// here, while the request's own span is running.
func newWork(ctx context.Context, name string, opts []WorkOption) *work {
	w := &work{name: name, ctx: ctx, request: scope.From(ctx)}
	for _, o := range opts {
		o.applyWork(w)
	}
	parent := trace.SpanFromContext(ctx)
	// A span that has ended no longer records, but was sampled if its children
	// are to be. A remote one has no tracer to make children.
	if sc := parent.SpanContext(); parent.IsRecording() || sc.IsSampled() && !sc.IsRemote() {
		w.provider = parent.TracerProvider()
	}
	return w
}

// start begins work within its request: in its context and on its scope.
func (w *work) start() {
	w.startSpan()
	w.count()
}

func (w *work) startSpan(opts ...trace.SpanStartOption) {
	if w.provider != nil {
		w.ctx, w.span = w.provider.Tracer(tracerName).Start(w.ctx, w.name, opts...)
	}
}

// adopt puts a scope of its own around the work's context and current span.
func (w *work) adopt() {
	w.own = new(scope.Scope)
	w.own.Init(w.ctx, trace.SpanFromContext(w.ctx))
	w.ctx = w.own
}

// count makes the work visible to Goroutines, which reads it from now on.
func (w *work) count() {
	w.counters = goroutines.counters(w.name)
	w.counters.add(w)
}

// run calls f and ends the work, whatever f does. A panic becomes a *PanicError.
// After runtime.Goexit run does not return either, but the work has ended.
func (w *work) run(f func(context.Context) error) (err error) {
	returned := false
	defer func() {
		var p *PanicError
		if v := recover(); v != nil {
			p = &PanicError{Name: w.name, Value: v, Stack: debug.Stack()}
			err = p
		} else if !returned {
			err = ErrGoexit
		}
		w.end(err, p)
	}()
	err = f(w.ctx)
	returned = true
	return err
}

// finish ends work that its caller runs. Only the first call counts.
func (w *work) finish(err error) { w.end(err, nil) }

func (w *work) end(err error, p *PanicError) {
	if !w.over.CompareAndSwap(false, true) {
		return
	}
	how := w.ending(err, p)
	w.report(how, err, p)
	if w.own != nil {
		w.own.Finish()
	}
	if w.cancel != nil {
		w.cancel()
	}
	w.counters.remove(w, how)
}

func (w *work) ending(err error, p *PanicError) ending {
	switch {
	case p != nil:
		return panicked
	case err == nil:
		return succeeded
	case errors.Is(err, context.Canceled) && errors.Is(w.ctx.Err(), context.Canceled):
		return canceled
	default:
		return failed
	}
}

// report tells span and log how the work ended.
func (w *work) report(how ending, err error, p *PanicError) {
	// A log handler, or a value that formats itself, may panic in its turn. That
	// must not do what the panic of the work could not: end the process.
	defer func() { _ = recover() }()
	if w.span != nil {
		defer w.span.End()
	}
	if how == succeeded {
		return
	}
	cause := w.cause(err)
	if w.span != nil && w.span.IsRecording() {
		w.record(how, err, p, cause)
	}
	w.log(how, err, p, cause)
}

// cause returns why the work's context ended, if it has and err does not say so.
func (w *work) cause(err error) string {
	cause := context.Cause(w.ctx)
	if cause == nil || cause.Error() == err.Error() {
		return ""
	}
	return cause.Error()
}

func (w *work) record(how ending, err error, p *PanicError, cause string) {
	if cause != "" {
		w.span.SetAttributes(causeKey.String(cause))
	}
	switch how {
	case panicked:
		w.span.AddEvent(semconv.ExceptionEvent, trace.WithAttributes(
			semconv.ExceptionTypeKey.String(fmt.Sprintf("%T", p.Value)),
			semconv.ExceptionMessageKey.String(fmt.Sprint(p.Value)),
			semconv.ExceptionStacktraceKey.String(string(p.Stack)),
		))
		w.span.SetStatus(codes.Error, "panic")
	case failed:
		w.span.RecordError(err)
		w.span.SetStatus(codes.Error, err.Error())
	case canceled:
		w.span.RecordError(err) // nobody's fault, so no status
	}
}

func (w *work) log(how ending, err error, p *PanicError, cause string) {
	if w.returns && how != panicked {
		return
	}
	logger, level := w.logger, slog.LevelError
	if logger == nil {
		logger = slog.Default()
	}
	if how == canceled {
		level = slog.LevelDebug
	}
	if !logger.Enabled(w.ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("goroutine", w.name)}
	if p != nil {
		attrs = append(attrs, slog.String("panic", fmt.Sprint(p.Value)), slog.String("stack", string(p.Stack)))
	} else {
		attrs = append(attrs, slog.Any("error", err))
	}
	if cause != "" {
		attrs = append(attrs, slog.String("cause", cause))
	}
	// A logging.Handler adds the ids itself and drops these; any other does not.
	if id := IdentityFrom(w.ctx); id.IsValid() {
		attrs = append(attrs, slog.String(semconv.TraceIDKey, id.TraceID()), slog.String(semconv.SpanIDKey, id.SpanID()))
	}
	logger.LogAttrs(w.ctx, level, endings[how], attrs...)
}

// isLeaked reports whether running work should be over.
func (w *work) isLeaked() bool {
	if w.own != nil {
		return w.ctx.Err() != nil
	}
	return w.request != nil && w.request.Finished()
}
