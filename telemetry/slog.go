// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/logging"
)

// scopeName is the instrumentation scope of records that come through slog.
const scopeName = "github.com/fairlead-go/fairlead/telemetry"

// SlogHandler returns a handler that sends records as OTLP logs, completed and
// cleaned by package logging: with the request's attributes, without secrets. The
// trace and span ids are in the fields that OTLP has for them. It goes beside
// the handler that writes:
//
//	slog.New(slog.NewMultiHandler(
//		logging.NewHandler(slog.NewJSONHandler(os.Stdout, nil)),
//		tel.SlogHandler()))
//
// It passes on what [WithLogLevel] says, or the request's own level. If disabled
// it takes nothing.
func (t *Telemetry) SlogHandler() slog.Handler { return t.slogHandler }

func newSlogHandler(p log.LoggerProvider, level slog.Leveler) slog.Handler {
	return logging.NewHandler(
		withoutIDs{otelslog.NewHandler(scopeName, otelslog.WithLoggerProvider(p))},
		logging.WithLevel(level))
}

// withoutIDs leaves out the attributes trace_id and span_id of records whose
// context has them, because an OTLP record has fields for both.
type withoutIDs struct{ slog.Handler }

func (h withoutIDs) Handle(ctx context.Context, r slog.Record) error {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return h.Handler.Handle(ctx, r)
	}
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != logging.TraceIDKey && a.Key != logging.SpanIDKey {
			out.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, out)
}

func (h withoutIDs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withoutIDs{h.Handler.WithAttrs(attrs)}
}

func (h withoutIDs) WithGroup(name string) slog.Handler { return withoutIDs{h.Handler.WithGroup(name)} }
