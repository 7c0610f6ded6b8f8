// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Limits of what a [Recorder] keeps unless told otherwise.
const (
	DefaultMaxSpans = 1 << 20
	DefaultMaxLines = 1 << 20
)

// Recorder takes in the spans, log lines and metrics of a run. Make it with
// [NewRecorder]; the zero value is invalid. It is safe for concurrent use,
// starts no goroutine and has nothing to close.
type Recorder struct {
	config recorderConfig

	mu           sync.Mutex
	spans        map[spanKey]*spanEntry
	order        []*spanEntry
	open         int // started and not yet ended
	lostSpans    int
	unsampled    map[trace.TraceID]struct{}
	lines        []rawLine
	writers      []*lineWriter
	sinks        []string // the services of the log sinks
	lostLines    int
	gatherers    []gatherer
	serviceNames map[*resource.Resource]string
}

type gatherer struct {
	service string
	source  prometheus.Gatherer
}

// NewRecorder returns an empty Recorder. A limit below 1 panics.
func NewRecorder(opts ...RecorderOption) *Recorder {
	c := recorderConfig{maxSpans: DefaultMaxSpans, maxLines: DefaultMaxLines, format: defaultFormat()}
	for _, o := range opts {
		o.applyRecorder(&c)
	}
	for name, v := range map[string]int{"WithMaxSpans": c.maxSpans, "WithMaxLines": c.maxLines} {
		if v < 1 {
			panic(fmt.Sprintf("telemetrytest: NewRecorder: %s is %d: must be at least 1", name, v))
		}
	}
	return &Recorder{
		config:       c,
		spans:        map[spanKey]*spanEntry{},
		unsampled:    map[trace.TraceID]struct{}{},
		serviceNames: map[*resource.Resource]string{},
	}
}

// SpanProcessor returns what takes in the spans of a tracer provider of your
// own:
//
//	sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec.SpanProcessor()), …)
//
// Spans belong to the service that the provider's resource names. Traces that
// the provider's sampler drops are unknown to the Recorder unless the sampler is
// wrapped with [Recorder.Sampler].
func (r *Recorder) SpanProcessor() sdktrace.SpanProcessor { return processor{r} }

// TracerProvider returns a tracer provider for one service that records every
// span here and samples every trace whose parent does not say otherwise.
// Options come after these settings and may change them. It runs no goroutine
// of its own; shutting it down is not needed.
func (r *Recorder) TracerProvider(service string, opts ...sdktrace.TracerProviderOption) *sdktrace.TracerProvider {
	own := []sdktrace.TracerProviderOption{
		sdktrace.WithSpanProcessor(r.SpanProcessor()),
		sdktrace.WithSampler(r.Sampler(sdktrace.ParentBased(sdktrace.AlwaysSample()))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String(serviceNameKey, service))),
	}
	return sdktrace.NewTracerProvider(append(own, opts...)...)
}

// Sampler returns inner, watched: the traces it drops are remembered, so that
// log lines of unsampled requests are not mistaken for lines with made-up ids.
func (r *Recorder) Sampler(inner sdktrace.Sampler) sdktrace.Sampler {
	if inner == nil {
		panic("telemetrytest: Recorder.Sampler: nil sampler")
	}
	return watchedSampler{r, inner}
}

// LogHandler returns a handler that takes in the records of one service, from
// debug level on, in the form [slog.JSONHandler] gives them. It also notes which
// span the record's context had, which a writer cannot know; so prefer it, as
// the innermost handler, to [Recorder.LogWriter]. The service may be empty if
// lines say it themselves.
func (r *Recorder) LogHandler(service string) slog.Handler {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sinks = append(r.sinks, service)
	return &logHandler{recorder: r, service: service}
}

// LogWriter returns a writer for JSON log lines of one service, written by
// whatever logger. A write may hold several lines or a part of one. The service
// may be empty if lines say it themselves.
func (r *Recorder) LogWriter(service string) io.Writer {
	w := &lineWriter{recorder: r, service: service}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sinks = append(r.sinks, service)
	r.writers = append(r.writers, w)
	return w
}

// AddMetrics adds the metrics of one service. They are gathered when a [Run] is
// taken. The service may be empty for a registry that several services share.
func (r *Recorder) AddMetrics(service string, g prometheus.Gatherer) {
	if g == nil {
		panic("telemetrytest: Recorder.AddMetrics: nil gatherer")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gatherers = append(r.gatherers, gatherer{service, g})
}

// Settle waits until every span is ended and [Run.Problems] finds nothing, or
// until ctx is done, and then returns its cause. It is for servers that cannot
// be stopped before the check: their last span ends, and their last line is
// written, a moment after the answer has gone out.
func (r *Recorder) Settle(ctx context.Context, opts ...Option) error {
	pause := time.Millisecond
	for {
		if r.openSpans() == 0 && len(r.Run(nil).Problems(opts...)) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
			pause = min(2*pause, 250*time.Millisecond)
		}
	}
}

func (r *Recorder) openSpans() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}
