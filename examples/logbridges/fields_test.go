// SPDX-License-Identifier: Apache-2.0

package logbridges_test

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead-go/fairlead/examples/logbridges"
)

var unknown = regexp.MustCompile(`"span_id":"[0-9a-f]{16}",?|"time":"[^"]*",?`)

// TestFields compares fields with what zap's own JSON encoder makes of them.
func TestFields(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, f := range []zap.Field{
		zap.String("k", "v"), zap.Bool("k", true), zap.Int("k", -1), zap.Int8("k", -8), zap.Uint64("k", 1<<63), zap.Uintptr("k", 9),
		zap.Float64("k", 1.5), zap.Float32("k", 1.5), zap.Duration("k", time.Second), zap.ByteString("k", []byte("b")),
		zap.Time("k", at), zap.Complex128("k", 1+2i), zap.Binary("k", []byte{1, 2}),
		zap.Reflect("k", map[string]any{"a": 1}), zap.Any("k", nil), zap.Ints("k", []int{1, 2}), zap.Skip(),
		zap.Inline(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error { enc.AddInt("x", 1); enc.AddInt("y", 2); return nil })),
		zap.Dict("k", zap.Int("a", 1), zap.String("b", "c")), zap.Stringer("k", (*regexp.Regexp)(nil)),
	} {
		config := zapcore.EncoderConfig{EncodeDuration: zapcore.NanosDurationEncoder, EncodeTime: zapcore.RFC3339NanoTimeEncoder}
		encoded, err := zapcore.NewJSONEncoder(config).EncodeEntry(zapcore.Entry{}, []zap.Field{f})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSpace(encoded.String())
		var buf bytes.Buffer
		inner := slog.NewJSONHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, slog.LevelKey, slog.MessageKey:
				return slog.Attr{}
			}
			if c, ok := a.Value.Any().(complex128); ok {
				return slog.String(a.Key, strings.Trim(slog.AnyValue(c).String(), "()"))
			}
			return a
		}})
		zap.New(logbridges.NewCore(inner)).Info("", f)
		if got := strings.TrimSpace(buf.String()); got != want {
			t.Errorf("type %d: got %s, want %s", f.Type, got, want)
		}
	}
}

// TestLevels is the order and the names of levels.
func TestLevels(t *testing.T) {
	for zl, want := range map[zapcore.Level]slog.Level{
		zap.DebugLevel: slog.LevelDebug, zap.InfoLevel: slog.LevelInfo, zap.WarnLevel: slog.LevelWarn, zap.ErrorLevel: slog.LevelError,
		zap.DPanicLevel: slog.LevelError + 4, zap.PanicLevel: slog.LevelError + 8, zap.FatalLevel: slog.LevelError + 12,
	} {
		h := &last{}
		core := logbridges.NewCore(h)
		if ce := core.Check(zapcore.Entry{Level: zl}, nil); ce == nil {
			t.Errorf("%v is not enabled", zl)
		}
		if err := core.Write(zapcore.Entry{Level: zl}, nil); err != nil {
			t.Fatal(err)
		}
		if h.r.Level != want {
			t.Errorf("%v: got %v, want %v", zl, h.r.Level, want)
		}
	}
	off := logbridges.NewCore(slog.DiscardHandler)
	if ce := off.Check(zapcore.Entry{Level: zap.ErrorLevel}, nil); ce != nil || off.Enabled(zap.ErrorLevel) {
		t.Error("enabled though the handler is not")
	}
	if err := off.Sync(); err != nil {
		t.Error(err)
	}
}

// TestEntry is what an entry has besides its fields.
func TestEntry(t *testing.T) {
	h := &last{}
	zl := zap.New(logbridges.NewCore(h), zap.AddCaller(), zap.AddStacktrace(zap.WarnLevel))
	pc, _, line, _ := runtime.Caller(0)
	zl.Named("a").Named("b").Warn("m")
	if got := h.r.Source(); got == nil || got.Line != line+1 || got.Function != runtime.FuncForPC(pc).Name() {
		t.Errorf("source is %+v", got)
	}
	attrs := map[string]string{}
	h.r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value.String(); return true })
	if attrs["logger"] != "a.b" || !strings.Contains(attrs["stack"], "TestEntry") {
		t.Errorf("attributes are %v", attrs)
	}
}

// last keeps the last record.
type last struct{ r slog.Record }

func (*last) Enabled(context.Context, slog.Level) bool        { return true }
func (h *last) Handle(_ context.Context, r slog.Record) error { h.r = r; return nil }
func (h *last) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h *last) WithGroup(string) slog.Handler                 { return h }
