// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"log/slog"
	"testing"
	"unicode/utf8"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// TestAddIsValidOnSpans: what is not UTF-8 is replaced on the span, because one
// invalid string costs OTLP a whole batch.
func TestAddIsValidOnSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	_ = ctxutil.Envelope{}.Do(t.Context(), "work", func(ctx context.Context) error {
		ctxutil.Add(ctx, slog.String("na\xffme", "a\xfeb"), slog.Group("g", slog.String("k", "\xc3\x28")), slog.String("ok", "grün"))
		return nil
	}, ctxutil.WithTracerProvider(tp))
	found := map[string]string{}
	for _, kv := range spans.Ended()[0].Attributes() {
		if !utf8.ValidString(string(kv.Key)) || !utf8.ValidString(kv.Value.String()) {
			t.Errorf("%q = %q is not valid UTF-8", kv.Key, kv.Value.String())
		}
		found[string(kv.Key)] = kv.Value.String()
	}
	for key, want := range map[string]string{"na\uFFFDme": "a\uFFFDb", "g.k": "\uFFFD(", "ok": "grün"} {
		if found[key] != want {
			t.Errorf("%q = %q, want %q", key, found[key], want)
		}
	}
}
