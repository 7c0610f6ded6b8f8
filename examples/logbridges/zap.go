// SPDX-License-Identifier: Apache-2.0

package logbridges

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core is a zapcore.Core over an slog.Handler.
type core struct {
	handler slog.Handler
	ctx     context.Context // of the request; Background if not known
}

// NewCore returns a zapcore.Core that hands entries to h. Use it for
// correlation, redaction and the like over a logging.Handler.
//
// Levels become the slog levels of the same name; those above error become
// higher levels, four apart. The logger's name is the attribute logger, a
// stack the attribute stack, a namespace a group. A context in any field is
// the context of the record, and is not logged.
func NewCore(h slog.Handler) zapcore.Core {
	return &core{handler: h, ctx: context.Background()}
}

// Context returns a field that tells the core the request in ctx. Other cores
// ignore it. The request's level is only heeded if the field came through
// [zap.Logger.With], as zap asks for the level before it looks at fields.
func Context(ctx context.Context) zap.Field {
	return zap.Field{Type: zapcore.SkipType, Interface: ctx}
}

// WithContext returns a logger for the request in ctx. Make one where the
// request comes in, and pass it on or keep it in the context.
func WithContext(ctx context.Context, l *zap.Logger) *zap.Logger {
	return l.With(Context(ctx))
}

// Enabled reports whether the handler takes records of the level.
func (c *core) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(c.ctx, level(l))
}

// With returns a core with fields added to each of its records.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	out := &core{handler: c.handler, ctx: c.ctx}
	for _, f := range fields {
		if ctx, ok := f.Interface.(context.Context); ok {
			out.ctx = ctx
			continue
		}
		if f.Type == zapcore.NamespaceType {
			out.handler = out.handler.WithGroup(f.Key)
			continue
		}
		if attrs := appendField(nil, f); len(attrs) > 0 {
			out.handler = out.handler.WithAttrs(attrs)
		}
	}
	return out
}

// Check adds the core to ce if the handler takes records of the level.
func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

// Write hands the entry to the handler.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	var pc uintptr
	if e.Caller.Defined {
		pc = e.Caller.PC
	}
	r := slog.NewRecord(e.Time, level(e.Level), e.Message, pc)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	ctx := c.ctx
	for _, f := range fields {
		if fromField, ok := f.Interface.(context.Context); ok {
			ctx = fromField
		}
	}
	r.AddAttrs(attrsOf(fields)...)
	if e.Stack != "" {
		r.AddAttrs(slog.String("stack", e.Stack))
	}
	return c.handler.Handle(ctx, r)
}

// Sync does nothing: an slog.Handler has no buffer that could be flushed.
func (c *core) Sync() error { return nil }

// level returns the slog level of a zap level; both are evenly spaced around info.
func level(l zapcore.Level) slog.Level { return slog.Level(l) * (slog.LevelWarn - slog.LevelInfo) }

// attrsOf returns fields as attributes. What follows a namespace is in its group.
func attrsOf(fields []zapcore.Field) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(fields))
	for i, f := range fields {
		if f.Type == zapcore.NamespaceType {
			return append(attrs, slog.GroupAttrs(f.Key, attrsOf(fields[i+1:])...))
		}
		attrs = appendField(attrs, f)
	}
	return attrs
}

// appendField appends one field, which is no namespace.
func appendField(attrs []slog.Attr, f zapcore.Field) []slog.Attr {
	if _, ok := f.Interface.(context.Context); ok {
		return attrs
	}
	switch f.Type {
	case zapcore.SkipType:
		return attrs
	case zapcore.StringType:
		return append(attrs, slog.String(f.Key, f.String))
	case zapcore.BoolType:
		return append(attrs, slog.Bool(f.Key, f.Integer == 1))
	case zapcore.Int64Type, zapcore.Int32Type, zapcore.Int16Type, zapcore.Int8Type:
		return append(attrs, slog.Int64(f.Key, f.Integer))
	case zapcore.Uint64Type, zapcore.Uint32Type, zapcore.Uint16Type, zapcore.Uint8Type, zapcore.UintptrType:
		return append(attrs, slog.Uint64(f.Key, uint64(f.Integer)))
	case zapcore.Float64Type:
		return append(attrs, slog.Float64(f.Key, math.Float64frombits(uint64(f.Integer))))
	case zapcore.DurationType:
		return append(attrs, slog.Duration(f.Key, time.Duration(f.Integer)))
	case zapcore.ErrorType, zapcore.ReflectType:
		return append(attrs, slog.Any(f.Key, f.Interface))
	}
	// The rest is what has its own way to be encoded. zap knows how; it can
	// make several attributes of one field.
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	for _, key := range slices.Sorted(maps.Keys(enc.Fields)) {
		attrs = append(attrs, slog.Any(key, enc.Fields[key]))
	}
	return attrs
}
