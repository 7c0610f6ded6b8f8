// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"bytes"
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// rawLine is a log line as it came in.
type rawLine struct {
	text    string // without its line feed
	service string // of the sink
	cut     bool   // the line feed is missing
	origin  origin
}

// origin is the context a record was logged with, if the sink could see it.
type origin struct {
	seen bool
	span trace.SpanContext
}

// addLine keeps a line. The recorder's lock is held.
func (r *Recorder) addLine(l rawLine) {
	if len(r.lines) >= r.config.maxLines {
		r.lostLines++
		return
	}
	r.lines = append(r.lines, l)
}

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	recorder *Recorder
	service  string
	rest     []byte // a line that is not finished; guarded by recorder.mu
}

// Write keeps the lines in p. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	n := len(p)
	for {
		line, after, found := bytes.Cut(p, []byte("\n"))
		if !found {
			w.rest = append(w.rest, p...)
			return n, nil
		}
		text := string(append(w.rest, line...))
		w.rest = w.rest[:0]
		w.recorder.addLine(rawLine{text: text, service: w.service})
		p = after
	}
}

// logHandler encodes records with slog's own JSON handler. It makes one anew for
// each record, so that nothing is shared and no lock is held while a value is
// asked for its text, and replays on it what WithAttrs and WithGroup said.
type logHandler struct {
	recorder *Recorder
	service  string
	replay   []func(slog.Handler) slog.Handler
}

var _ slog.Handler = (*logHandler)(nil)

// Enabled is true from debug level on.
func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelDebug }

// Handle keeps the record and the span of its context.
func (h *logHandler) Handle(ctx context.Context, rec slog.Record) error {
	var buf bytes.Buffer
	var inner slog.Handler = slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug})
	for _, again := range h.replay {
		inner = again(inner)
	}
	if err := inner.Handle(ctx, rec); err != nil {
		return err
	}
	line := rawLine{
		text:    string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))),
		service: h.service,
		origin:  origin{seen: true, span: trace.SpanContextFromContext(ctx)},
	}
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	h.recorder.addLine(line)
	return nil
}

// WithAttrs returns a handler whose lines have attrs too.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.then(func(inner slog.Handler) slog.Handler { return inner.WithAttrs(attrs) })
}

// WithGroup returns a handler that puts what follows into a group.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return h.then(func(inner slog.Handler) slog.Handler { return inner.WithGroup(name) })
}

func (h *logHandler) then(again func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{h.recorder, h.service, append(slices.Clip(h.replay), again)}
}
