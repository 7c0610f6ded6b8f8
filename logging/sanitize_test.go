// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead-go/fairlead/logging"
)

// escapes are attribute values by what they have to become.
var escapes = []struct{ name, in, want string }{
	{"clean", `a "b" \n é 漢 🙂 'c'`, `a "b" \n é 漢 🙂 'c'`},
	{"line feed", "a\nb", `a\nb`},
	{"carriage return", "a\r\nb", `a\r\nb`},
	{"tab", "a\tb", `a\tb`},
	{"NUL and DEL", "a\x00b\x7f", `a\x00b\x7f`},
	{"ANSI", "\x1b[31mred\x1b]0;title\a", `\x1b[31mred\x1b]0;title\x07`},
	{"C1", "a\u0085b\u009b31m", `a\u0085b\u009b31m`},
	{"invalid UTF-8", "a\xffb\xc3", `a\xffb\xc3`},
	{"surrogate half", "\xed\xa0\x80", `\xed\xa0\x80`},
	{"replacement character is valid", "\ufffd", "\ufffd"},
	{"line separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
	{"bidi", "\u202etxt.exe\u202c\u2066\u2069\u200e\u200f\u061c", `\u202etxt.exe\u202c\u2066\u2069\u200e\u200f\u061c`},
	{"joiners stay", "👩\u200d💻 \u00a0", "👩\u200d💻 \u00a0"},
	{"backslash stays", `C:\new`, `C:\new`},
}

type text string // a string type without methods

func TestEscape(t *testing.T) {
	for _, tc := range escapes {
		t.Run(tc.name, func(t *testing.T) {
			got := parse(t, line(t, func(l *slog.Logger) {
				l.With("with", tc.in).WithGroup("group"+tc.in).Info(tc.in,
					"key"+tc.in, tc.in,
					"err", errors.New(tc.in),
					"type", text(tc.in),
					"list", []string{"x", tc.in},
					"map", map[string]any{"k" + tc.in: tc.in},
					"struct", struct{ S []any }{[]any{tc.in}})
			}))
			group, ok := got["group"+tc.want].(map[string]any)
			if !ok {
				t.Fatalf("no group in %v", got)
			}
			for name, v := range map[string]any{
				"message": got["msg"],
				"with":    got["with"],
				"value":   group["key"+tc.want],
				"error":   group["err"],
				"type":    group["type"],
				"list":    group["list"].([]any)[1],
				"map":     group["map"].(map[string]any)["k"+tc.want],
				"struct":  group["struct"].(map[string]any)["S"].([]any)[0],
			} {
				if v != tc.want {
					t.Errorf("%s: got %q, want %q", name, v, tc.want)
				}
			}
		})
	}
}

func TestTruncation(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		opts           []logging.Option
	}{
		{"fits", strings.Repeat("a", 100), strings.Repeat("a", 100), []logging.Option{logging.WithMaxValueBytes(100)}},
		{"one over", strings.Repeat("a", 101), strings.Repeat("a", 100) + "...[1 more bytes]", []logging.Option{logging.WithMaxValueBytes(100)}},
		{"between runes", strings.Repeat("é", 51), strings.Repeat("é", 50) + "...[2 more bytes]", []logging.Option{logging.WithMaxValueBytes(101)}},
		{"after escaping", strings.Repeat("\n", 60), strings.Repeat(`\n`, 50) + "...[10 more bytes]", []logging.Option{logging.WithMaxValueBytes(100)}},
		{"default", strings.Repeat("a", 9000), strings.Repeat("a", 8192) + "...[808 more bytes]", nil},
		{"zero is the default", strings.Repeat("a", 9000), strings.Repeat("a", 8192) + "...[808 more bytes]", []logging.Option{logging.WithMaxValueBytes(0)}},
		{"at least 64", strings.Repeat("a", 70), strings.Repeat("a", 64) + "...[6 more bytes]", []logging.Option{logging.WithMaxValueBytes(1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := parse(t, line(t, func(l *slog.Logger) { l.Info(tc.in, "k", tc.in, "err", errors.New(tc.in)) }, tc.opts...))
			for _, k := range []string{"msg", "k", "err"} {
				if got[k] != tc.want {
					t.Errorf("%s: got %q, want %q", k, got[k], tc.want)
				}
			}
		})
	}
	t.Run("key", func(t *testing.T) {
		got := line(t, func(l *slog.Logger) { l.Info("m", strings.Repeat("k", 300), 1) })
		if want := `"` + strings.Repeat("k", 256) + `...[44 more bytes]":1`; !strings.Contains(got, want) {
			t.Errorf("got %s", got)
		}
	})
	t.Run("parts of a value", func(t *testing.T) {
		got := line(t, func(l *slog.Logger) { l.Info("m", "k", make([]string, 100_000), "n", make([]int, 3)) })
		if len(got) > 4000 || !strings.Contains(got, `"[TRUNCATED]"],"n":[0,0,0]}`) {
			t.Errorf("got %d bytes: %.100s … %s", len(got), got, got[len(got)-100:])
		}
	})
}

// TestErrorsStayErrors is for inner handlers that look at the type.
func TestErrorsStayErrors(t *testing.T) {
	want := errors.New("plain")
	var got any
	inner := slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "err" {
			got = a.Value.Any()
		}
		return a
	}})
	slog.New(logging.NewHandler(inner)).Info("m", "err", want)
	if got != want {
		t.Errorf("got %#v, want the error itself", got)
	}
}

// FuzzHandler logs hostile strings in every place a string can be. Whatever
// they are, the output is one line of valid UTF-8 without control characters,
// and as JSON has the keys and values the strings stand for, none twice.
func FuzzHandler(f *testing.F) {
	for _, tc := range escapes {
		f.Add(tc.in, tc.in, tc.in)
	}
	f.Add("m", "password", "p")
	f.Add("m", "trace_id", testTrace)
	f.Add("msg", "level", "\xff\n\u2028\u202e\x9b")
	f.Add(strings.Repeat("\x1b[0m", 3000), strings.Repeat("k", 300), strings.Repeat("é", 5000))
	f.Fuzz(func(t *testing.T, message, key, value string) {
		s := newRequest(t)
		s.Add(slog.String(key, value))
		for name, inner := range map[string]func(*bytes.Buffer) slog.Handler{
			"json": func(b *bytes.Buffer) slog.Handler { return newJSON(b) },
			"text": func(b *bytes.Buffer) slog.Handler { return newText(b) },
		} {
			var buf bytes.Buffer
			l := slog.New(logging.NewHandler(inner(&buf), logging.WithResource(slog.String(key, value))))
			l.With("w"+key, value).WithGroup("g"+key).InfoContext(s, message,
				"x"+key, value,
				slog.Group(key, key, value, "err", errors.New(value), "list", []string{value}, "map", map[string]string{key: value}))
			out := buf.String()
			one, rest, found := strings.Cut(out, "\n")
			if !found || rest != "" {
				t.Errorf("%s: not one line: %q", name, out)
			}
			if !utf8.ValidString(one) {
				t.Errorf("%s: invalid UTF-8: %q", name, one)
			}
			for _, r := range one {
				if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
					t.Errorf("%s: %U in %q", name, r, one)
				}
			}
			if name != "json" {
				continue
			}
			noDuplicates(t, one)
			m := parse(t, one)
			if m["trace_id"] != testTrace || m["span_id"] != testSpan {
				t.Errorf("ids are gone or fake in %s", one)
			}
			if clean(message) && m["msg"] != message {
				t.Errorf("msg: got %q, want %q", m["msg"], message)
			}
			group, ok := m["g"+key].(map[string]any)
			if clean("g"+key) && !ok {
				t.Fatalf("no group %q in %s", "g"+key, one)
			}
			if clean("x"+key) && clean(value) && ok {
				if got := group["x"+key]; got != value && got != logging.Redacted {
					t.Errorf("%q: got %q, want %q", "x"+key, got, value)
				}
			}
		}
	})
}

// clean reports whether s needs no change, said another way than by the code.
func clean(s string) bool {
	return len(s) <= 256 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
	})
}
