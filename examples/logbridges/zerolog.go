// SPDX-License-Identifier: Apache-2.0

package logbridges

import (
	"log/slog"
	"time"

	"github.com/rs/zerolog"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/logging"
)

// NewHook returns a hook that adds trace_id, span_id and the attributes of the
// request (ctxutil.Add) to events that know their context, by Event.Ctx or by
// Context.Ctx of the logger. The attributes are redacted by redactor; nil
// redacts nothing.
func NewHook(redactor *logging.Redactor) zerolog.Hook {
	return zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		ctx := e.GetCtx()
		id := ctxutil.IdentityFrom(ctx)
		if !id.IsValid() {
			return
		}
		e.Str(logging.TraceIDKey, id.TraceID()).Str(logging.SpanIDKey, id.SpanID())
		if id.CorrelationID != "" {
			e.Str(logging.RequestIDKey, id.CorrelationID)
		}
		for _, a := range ctxutil.Attrs(ctx) {
			add(e, redactor.Attr(a))
		}
	})
}

// add adds an attribute to an event, a group as an object.
func add(e *zerolog.Event, a slog.Attr) {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		e.Str(a.Key, v.String())
	case slog.KindInt64:
		e.Int64(a.Key, v.Int64())
	case slog.KindUint64:
		e.Uint64(a.Key, v.Uint64())
	case slog.KindFloat64:
		e.Float64(a.Key, v.Float64())
	case slog.KindBool:
		e.Bool(a.Key, v.Bool())
	case slog.KindDuration:
		e.Dur(a.Key, v.Duration())
	case slog.KindTime:
		e.Str(a.Key, v.Time().Format(time.RFC3339Nano))
	case slog.KindGroup:
		group := e.CreateDict()
		for _, m := range v.Group() {
			add(group, m)
		}
		e.Dict(a.Key, group)
	default:
		if err, ok := v.Any().(error); ok {
			e.AnErr(a.Key, err)
			return
		}
		e.Interface(a.Key, v.Any())
	}
}
