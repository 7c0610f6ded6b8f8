// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

// traced is a request that runs, with a real tracer and a log to look at.
type traced struct {
	*scope.Scope // the context
	cancel       context.CancelCauseFunc
	provider     *sdktrace.TracerProvider
	spans        *tracetest.SpanRecorder
	logs         *lines
	logger       ctxutil.WorkOption
}

// newTraced starts the request of a test. Its span is called "request".
func newTraced(t testing.TB, opts ...sdktrace.TracerProviderOption) *traced {
	t.Helper()
	r := &traced{Scope: new(scope.Scope), spans: tracetest.NewSpanRecorder(), logs: new(lines)}
	r.provider = sdktrace.NewTracerProvider(append(opts, sdktrace.WithSpanProcessor(r.spans))...)
	r.logger = ctxutil.WithLogger(r.logs.logger())
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	ctx, span := r.provider.Tracer("test").Start(ctx, "request")
	r.Init(ctx, span)
	t.Cleanup(func() { cancel(nil) })
	return r
}

// finish ends the request as a server does when its handler has returned.
func (r *traced) finish() {
	r.Scope.Finish()
	r.Span.End()
	r.cancel(nil)
}

// ended returns the spans of that name that have ended.
func (r *traced) ended(name string) []sdktrace.ReadOnlySpan {
	var spans []sdktrace.ReadOnlySpan
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// only returns the one span of that name, which must have ended.
func (r *traced) only(t testing.TB, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := r.ended(name)
	if len(spans) != 1 {
		t.Fatalf("%d spans %q have ended, want 1", len(spans), name)
	}
	return spans[0]
}

// attributes returns those of a span or an event by key.
func attributes(kvs []attribute.KeyValue) map[string]any {
	m := map[string]any{}
	for _, kv := range kvs {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// logger returns a plain logger, that knows nothing of traces.
func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l *lines) all(t testing.TB) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for line := range bytes.Lines(l.buf.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// stats returns the counts of a name, zero if it was never used.
func stats(name string) ctxutil.GoroutineStats {
	for _, s := range ctxutil.Goroutines() {
		if s.Name == name {
			return s
		}
	}
	return ctxutil.GoroutineStats{Name: name}
}

// counting returns what has been counted under a name since. The counts are the
// process's, and tests may run several times in one.
func counting(name string) func() ctxutil.GoroutineStats {
	before := stats(name)
	return func() ctxutil.GoroutineStats {
		s := stats(name)
		s.Started -= before.Started
		s.Panics -= before.Panics
		s.Errors -= before.Errors
		s.Canceled -= before.Canceled
		return s
	}
}

// unsampled returns a request that has an identity and no recording span.
func unsampled(t testing.TB) *traced {
	t.Helper()
	return newTraced(t, sdktrace.WithSampler(sdktrace.NeverSample()))
}

// childOf reports whether span is directly below parent, in its trace.
func childOf(span sdktrace.ReadOnlySpan, parent trace.SpanContext) bool {
	return span.Parent().SpanID() == parent.SpanID() && span.SpanContext().TraceID() == parent.TraceID()
}
