// SPDX-License-Identifier: Apache-2.0

package policylog

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
)

// The messages of all lines.
const (
	MessageOpened       = "circuit breaker opened"
	MessageHalfOpen     = "circuit breaker half-open"
	MessageClosed       = "circuit breaker closed"
	MessageDegraded     = "policy degraded"
	MessageRecovered    = "policy recovered"
	MessageLimitChanged = "limit changed"
	MessageFellBack     = "fell back"
)

// Observer returns an observer that writes to logger what policies do. A nil logger
// makes one that does nothing. It is safe for concurrent use; the logger's handler
// runs on the goroutine of the call that is decided upon. What the logger's level
// leaves out costs no allocation.
func Observer(logger *slog.Logger) resilience.Observer {
	if logger == nil {
		return resilience.Observer{}
	}
	l := lines{logger.Handler()}
	return resilience.Observer{
		StateChanged: l.stateChanged,
		LimitChanged: l.limitChanged,
		FellBack:     l.fellBack,
		Degraded:     l.degraded,
	}
}

type lines struct{ handler slog.Handler }

func (l lines) stateChanged(ctx context.Context, e resilience.StateChange) {
	level, message := slog.LevelDebug, MessageHalfOpen
	switch e.To {
	case resilience.StateOpen:
		level, message = slog.LevelWarn, MessageOpened
	case resilience.StateClosed:
		level, message = slog.LevelInfo, MessageClosed
	case resilience.StateHalfOpen:
	}
	if !l.handler.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 7), ids(ctx, e.TraceID)...)
	attrs = append(attrs, slog.String("name", e.Name), slog.String("from", e.From.String()), slog.String("to", e.To.String()),
		slog.String("reason", bounded(e.Reason)))
	if e.OpenFor > 0 {
		attrs = append(attrs, slog.Float64("open_for_ms", float64(e.OpenFor)/float64(time.Millisecond)))
	}
	l.write(ctx, level, message, attrs)
}

func (l lines) limitChanged(ctx context.Context, e resilience.LimitChange) {
	if !l.handler.Enabled(ctx, slog.LevelDebug) {
		return
	}
	l.write(ctx, slog.LevelDebug, MessageLimitChanged, append(ids(ctx, ""),
		slog.String("policy", string(e.Policy)), slog.String("name", e.Name), slog.Int("from", e.From), slog.Int("to", e.To)))
}

func (l lines) fellBack(ctx context.Context, e resilience.Fallback) {
	if !l.handler.Enabled(ctx, slog.LevelDebug) {
		return
	}
	l.write(ctx, slog.LevelDebug, MessageFellBack, append(ids(ctx, ""), slog.String("name", e.Name), cause(e.Err)))
}

func (l lines) degraded(ctx context.Context, e resilience.Degradation) {
	level, message := slog.LevelWarn, MessageDegraded
	if e.Since.IsZero() {
		level, message = slog.LevelInfo, MessageRecovered
	}
	if !l.handler.Enabled(ctx, level) {
		return
	}
	attrs := append(ids(ctx, ""), slog.String("policy", string(e.Policy)), slog.String("name", e.Name))
	if !e.Since.IsZero() {
		attrs = append(attrs, cause(e.Err))
	}
	l.write(ctx, level, message, attrs)
}

// write writes a line without a source: that would be this file, whatever happened.
func (l lines) write(ctx context.Context, level slog.Level, message string, attrs []slog.Attr) {
	rec := slog.NewRecord(time.Now(), level, message, 0)
	rec.AddAttrs(attrs...)
	_ = l.handler.Handle(ctx, rec) // a logger has nobody to tell that it cannot log
}

// ids are the ids of the call in ctx, as a logging.Handler would put them there,
// so that other handlers have them too. Without one there may be the trace alone.
func ids(ctx context.Context, traceID string) []slog.Attr {
	if id := ctxutil.IdentityFrom(ctx); id.IsValid() {
		return []slog.Attr{slog.String("trace_id", id.TraceID()), slog.String("span_id", id.SpanID())}
	}
	if traceID != "" {
		return []slog.Attr{slog.String("trace_id", traceID)}
	}
	return nil
}

// cause is an error as a line shows it; one that is nil is left out.
func cause(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.String("error", bounded(err.Error()))
}

// maxText bounds a text of which a part may be a peer's, in bytes.
const maxText = 1024

func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "\uFFFD") }
