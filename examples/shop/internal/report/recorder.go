// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What a Recorder keeps at most.
const (
	maxTraces         = 4096
	maxSpansPerTrace  = 256
	maxLinesPerTrace  = 256
	maxEventsPerSpan  = 32
	maxLineBytes      = 16 << 10
	serviceNameKey    = "service.name"
	unknownServiceTag = "?"
)

// Recorder keeps the spans and log lines of the last 4096 traces of this
// process. It is a span processor; its log lines come through
// [Recorder.LogWriter]. Make it with [NewRecorder]. It is safe for concurrent
// use, starts no goroutine and has nothing to close.
type Recorder struct {
	mu     sync.Mutex
	traces map[string]*Trace
	order  []string // a ring of the ids in traces, oldest at next
	next   int
}

var (
	_ sdktrace.SpanProcessor = (*Recorder)(nil)
	_ Source                 = (*Recorder)(nil)
)

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{traces: make(map[string]*Trace, maxTraces), order: make([]string, maxTraces)}
}

// Trace implements [Source].
func (r *Recorder) Trace(_ context.Context, id string) (*Trace, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.traces[id]
	if !ok {
		return nil, ErrUnknownTrace
	}
	out := &Trace{ID: t.ID, Spans: slices.Clone(t.Spans), Lines: slices.Clone(t.Lines), Dropped: t.Dropped}
	out.sort()
	return out, nil
}

// trace returns the trace to write to, and makes room for it if it is new. The
// caller holds the lock.
func (r *Recorder) trace(id string) *Trace {
	if t, ok := r.traces[id]; ok {
		return t
	}
	delete(r.traces, r.order[r.next])
	r.order[r.next] = id
	r.next = (r.next + 1) % maxTraces
	t := &Trace{ID: id}
	r.traces[id] = t
	return t
}

// OnStart implements [sdktrace.SpanProcessor].
func (r *Recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor].
func (r *Recorder) OnEnd(s sdktrace.ReadOnlySpan) {
	span := Span{
		ID: s.SpanContext().SpanID().String(), Service: serviceOf(s), Name: s.Name(), Kind: s.SpanKind().String(),
		Start: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()),
		Failed: s.Status().Code == codes.Error, Message: s.Status().Description,
	}
	if s.Parent().HasSpanID() {
		span.ParentID = s.Parent().SpanID().String()
	}
	for _, e := range s.Events() {
		if len(span.Events) < maxEventsPerSpan {
			span.Events = append(span.Events, Event{At: e.Time, Name: e.Name, Text: textOf(e.Attributes)})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.trace(s.SpanContext().TraceID().String())
	if len(t.Spans) == maxSpansPerTrace {
		t.Dropped++
		return
	}
	t.Spans = append(t.Spans, span)
}

// textOf returns attributes as "key=value …", without the prefix that they have in
// common, and numbers without the digits that nobody reads.
func textOf(attrs []attribute.KeyValue) string {
	var b strings.Builder
	for _, kv := range attrs {
		value := kv.Value.String()
		switch kv.Value.Type() {
		case attribute.STRING:
			value = strconv.Quote(cut(value, maxValue))
		case attribute.FLOAT64:
			value = strconv.FormatFloat(kv.Value.AsFloat64(), 'f', 1, 64)
		}
		b.WriteString("  " + strings.TrimPrefix(string(kv.Key), "fairlead.") + "=" + cut(value, maxValue))
	}
	return oneLine(cut(strings.TrimSpace(b.String()), maxRest))
}

// Shutdown implements [sdktrace.SpanProcessor]. What is recorded stays.
func (r *Recorder) Shutdown(context.Context) error { return nil }

// ForceFlush implements [sdktrace.SpanProcessor].
func (r *Recorder) ForceFlush(context.Context) error { return nil }

func serviceOf(s sdktrace.ReadOnlySpan) string {
	for _, kv := range s.Resource().Attributes() {
		if string(kv.Key) == serviceNameKey {
			return kv.Value.AsString()
		}
	}
	return unknownServiceTag
}

// LogWriter returns a writer for JSON log lines, one a write, as
// [log/slog.JSONHandler] writes them. Lines without a trace id are passed over.
func (r *Recorder) LogWriter() io.Writer { return lineWriter{r} }

type lineWriter struct{ recorder *Recorder }

func (w lineWriter) Write(p []byte) (int, error) {
	line := bytes.TrimSpace(p)
	var head struct {
		TraceID string `json:"trace_id"`
	}
	if len(line) > maxLineBytes || json.Unmarshal(line, &head) != nil || head.TraceID == "" {
		return len(p), nil
	}
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	t := w.recorder.trace(head.TraceID)
	if len(t.Lines) == maxLinesPerTrace {
		t.Dropped++
		return len(p), nil
	}
	t.Lines = append(t.Lines, bytes.Clone(line))
	return len(p), nil
}
