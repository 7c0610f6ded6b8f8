// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/fairlead-go/fairlead/internal/scope"
)

// Add puts attributes on the current request: on its span, on its request log
// line even though that was prepared before the handler ran, and on every
// record logged with its context afterwards. A key added twice keeps its place
// and gets the newer value. At most 64 attributes are kept for one request.
//
// Without a request in ctx Add does nothing. It is safe for concurrent use.
func Add(ctx context.Context, attrs ...slog.Attr) {
	s := scope.From(ctx)
	if s == nil || len(attrs) == 0 {
		return
	}
	s.Add(attrs...)
	if !s.Span.IsRecording() {
		return
	}
	kvs := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		if a.Key == "" {
			continue
		}
		kvs = appendKeyValues(kvs, "", s.Redact(a))
	}
	s.Span.SetAttributes(kvs...)
}

// Attrs returns the attributes added to the current request so far, oldest
// first; nil if there is no request or nothing was added.
func Attrs(ctx context.Context) []slog.Attr {
	s := scope.From(ctx)
	if s == nil {
		return nil
	}
	return s.AppendAttrs(nil)
}

// SetLevel sets the least level at which records of the current request are
// logged by a logging.Handler, above or below the handler's own. Without a
// request in ctx it does nothing.
func SetLevel(ctx context.Context, level slog.Level) {
	if s := scope.From(ctx); s != nil {
		s.SetLevel(level)
	}
}

// Level returns the log level set for the current request, if one is.
func Level(ctx context.Context) (slog.Level, bool) {
	if s := scope.From(ctx); s != nil {
		return s.Level()
	}
	return 0, false
}

// appendKeyValues turns a slog attribute into span attributes; groups become
// dotted keys.
func appendKeyValues(dst []attribute.KeyValue, prefix string, a slog.Attr) []attribute.KeyValue {
	v := a.Value.Resolve()
	k := validUTF8(a.Key)
	if prefix != "" && k != "" {
		k = prefix + "." + k
	} else if k == "" {
		k = prefix
	}
	switch v.Kind() {
	case slog.KindBool:
		return append(dst, attribute.Bool(k, v.Bool()))
	case slog.KindInt64:
		return append(dst, attribute.Int64(k, v.Int64()))
	case slog.KindFloat64:
		return append(dst, attribute.Float64(k, v.Float64()))
	case slog.KindGroup:
		for _, m := range v.Group() {
			dst = appendKeyValues(dst, k, m)
		}
		return dst
	default:
		return append(dst, attribute.String(k, validUTF8(v.String())))
	}
}

// validUTF8 returns s with what is not UTF-8 replaced: one such string on a span
// makes OTLP refuse its whole batch.
func validUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
