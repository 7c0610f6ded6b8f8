// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"errors"
	"sync"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/internal/batch"
)

// exportQueue is a queue with an exporter behind it that is watched.
type exportQueue[T any] struct {
	*batch.Queue[T]

	guard *guard
	close func(context.Context) error
}

// newExportQueue takes the queue's numbers from the signal's variables.
func newExportQueue[T any](
	e *environ, s signal, g *guard, export func(context.Context, []T) error, shutdown func(context.Context) error,
) *exportQueue[T] {
	size := e.integer(s.queue + "_MAX_QUEUE_SIZE")
	return &exportQueue[T]{
		guard: g,
		close: shutdown,
		Queue: batch.New(batch.Config[T]{
			QueueSize: size,
			BatchSize: min(size, e.integer(s.queue+"_MAX_EXPORT_BATCH_SIZE")),
			Delay:     e.milliseconds(s.queue + "_SCHEDULE_DELAY"),
			Timeout:   e.milliseconds(s.queue + "_EXPORT_TIMEOUT"),
			Export: func(ctx context.Context, items []T) error {
				err := export(ctx, items)
				g.result(len(items), err)
				return err
			},
			OnOverflow: g.overflow,
		}),
	}
}

func (q *exportQueue[T]) stats() SignalStats {
	c := q.Counts()
	return SignalStats{
		Exported: q.guard.exported.Load(), Failed: q.guard.failed.Load(),
		QueueFull: c.Full, TooLate: c.Late, Queued: c.Queued, Capacity: c.Capacity, Down: q.guard.isDown(),
	}
}

// ForceFlush exports what is queued.
func (q *exportQueue[T]) ForceFlush(ctx context.Context) error { return q.Flush(ctx) }

// Shutdown exports what is queued and closes the exporter.
func (q *exportQueue[T]) Shutdown(ctx context.Context) error {
	err := q.Queue.Shutdown(ctx)
	closing := q.close(ctx)
	if err != nil && ctx.Err() != nil {
		return err // the exporter had no time left, either
	}
	return errors.Join(err, closing)
}

// spanQueue is the end of the span pipeline.
type spanQueue struct {
	*exportQueue[sdktrace.ReadOnlySpan]
}

func newSpanQueue(e *environ, g *guard, exporter sdktrace.SpanExporter) spanQueue {
	return spanQueue{newExportQueue(e, traces, g, exporter.ExportSpans, exporter.Shutdown)}
}

func (q spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		q.Add(s)
	}
}

// spanFanOut is all span queues as one processor.
type spanFanOut []spanQueue

var _ sdktrace.SpanProcessor = spanFanOut{}

func (f spanFanOut) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (f spanFanOut) OnEnd(s sdktrace.ReadOnlySpan) {
	for _, q := range f {
		q.OnEnd(s)
	}
}

func (f spanFanOut) ForceFlush(ctx context.Context) error {
	return sideBySide(ctx, f, spanQueue.ForceFlush)
}

func (f spanFanOut) Shutdown(ctx context.Context) error {
	return sideBySide(ctx, f, spanQueue.Shutdown)
}

// sideBySide keeps an exporter that hangs from using up the time of the others.
func sideBySide[Q any](ctx context.Context, queues []Q, do func(Q, context.Context) error) error {
	errs := make([]error, len(queues))
	var wg sync.WaitGroup
	for i, q := range queues {
		wg.Go(func() { errs[i] = do(q, ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// logQueue is the end of the log pipeline.
type logQueue struct{ *exportQueue[sdklog.Record] }

func newLogQueue(e *environ, g *guard, exporter sdklog.Exporter) logQueue {
	return logQueue{newExportQueue(e, logs, g, exporter.Export, exporter.Shutdown)}
}

// logFanOut is all log queues as one processor.
type logFanOut []logQueue

var _ sdklog.Processor = logFanOut{}

func (f logFanOut) Enabled(context.Context, sdklog.EnabledParameters) bool { return len(f) > 0 }

func (f logFanOut) OnEmit(_ context.Context, r *sdklog.Record) error {
	for _, q := range f {
		q.Add(r.Clone())
	}
	return nil
}

func (f logFanOut) ForceFlush(ctx context.Context) error {
	return sideBySide(ctx, f, logQueue.ForceFlush)
}

func (f logFanOut) Shutdown(ctx context.Context) error { return sideBySide(ctx, f, logQueue.Shutdown) }
