// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
	"github.com/fairlead-go/fairlead/logging"
)

func TestSlogtest(t *testing.T) {
	redactor, err := logging.NewRedactor(logging.WithRedactedKeys("iban"))
	if err != nil {
		t.Fatal(err)
	}
	sampler, err := logging.NewSampler(time.Minute, 1000, 10)
	if err != nil {
		t.Fatal(err)
	}
	s := newRequest(t)
	s.CorrelationID = "caller-7"
	s.Add(slog.String("order_id", "o-1"), slog.Group("tenant", "id", 7))
	plain := func(inner slog.Handler) slog.Handler { return logging.NewHandler(inner) }
	for _, tc := range []struct {
		name string
		wrap func(slog.Handler) slog.Handler
	}{
		{"no options", plain},
		{"in a request", func(h slog.Handler) slog.Handler { return inRequest{logging.NewHandler(h), s} }},
		{"all options in a request", func(h slog.Handler) slog.Handler {
			return inRequest{logging.NewHandler(h,
				logging.WithLevel(slog.LevelInfo),
				logging.WithService("order", "1.2.3", "order-1"),
				logging.WithResource(slog.String("deployment.environment.name", "test")),
				logging.WithRedactor(redactor),
				logging.WithSampler(sampler),
				logging.WithMaxValueBytes(100),
				logging.WithMaxAttrs(10),
			), s}
		}},
		{"no redaction", func(h slog.Handler) slog.Handler {
			return logging.NewHandler(h, logging.WithoutRedaction())
		}},
		{"two handlers in a row", func(h slog.Handler) slog.Handler { return inRequest{plain(plain(h)), s} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var buf bytes.Buffer
			slogtest.Run(t, func(*testing.T) slog.Handler {
				buf.Reset()
				return tc.wrap(slog.NewJSONHandler(&buf, nil))
			}, func(t *testing.T) map[string]any {
				noDuplicates(t, buf.String())
				m := map[string]any{}
				if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
					t.Fatal(err)
				}
				return m
			})
		})
	}
}

var update = flag.Bool("update", false, "rewrite testdata")

// TestGolden pins whole lines: what is on them and in which order.
func TestGolden(t *testing.T) {
	s := newRequest(t)
	s.CorrelationID = "caller-7"
	s.Add(slog.String("order_id", "o-1"), slog.Int("tenant", 7))
	child := trace.ContextWithSpanContext(s, spanContext(t, testTrace, "00f067aa0ba902b7"))
	foreign := trace.ContextWithSpanContext(s, spanContext(t, "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"))
	sameSpan := trace.ContextWithSpanContext(s, spanContext(t, "4bf92f3577b34da6a3ce929d0e0e4736", testSpan))
	bare := trace.ContextWithSpanContext(t.Context(), spanContext(t, testTrace, testSpan))

	var buf bytes.Buffer
	log := slog.New(logging.NewHandler(newJSON(&buf), logging.WithService("order", "1.2.3", "")))
	log.InfoContext(s, "in a request", "sku", "a-1")
	log.InfoContext(child, "in a child span")
	log.InfoContext(foreign, "in another trace than the request's")
	log.InfoContext(sameSpan, "in another trace, with the same span id")
	log.InfoContext(trace.ContextWithSpan(s, trace.SpanFromContext(t.Context())), "under a span that is none")
	log.InfoContext(bare, "in a span without a request")
	log.Info("without a context", "sku", "a-1")
	log.With("part", "stock").InfoContext(s, "with attributes", "sku", "a-1")
	log.With("part", "stock").WithGroup("db").With("table", "t").WithGroup("q").InfoContext(s, "in groups", "rows", 2)
	log.WithGroup("db").InfoContext(s, "in an empty group")
	log.With("sku", "logger", "tenant", "logger").InfoContext(s, "overridden", "sku", "record", "order_id", "record")
	log.InfoContext(s, "reserved", "level", 1, "msg", "m", "time", "t", "source", "kafka", "service.name", "x", "trace_id", "fake", "span_id", testSpan)
	log.InfoContext(s, "secrets", "user", "ann", "password", "p", slog.Group("session", "id", "s-1", "count", 2), "key", logging.Secret("k"))
	log.ErrorContext(s, "two\nlines", "err", errors.Join(errors.New("a"), errors.New("b\x1b[31m")), "k\r\n", "v")

	file := filepath.Join("testdata", "golden.jsonl")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(buf.String(), "\n")); diff != "" {
		t.Errorf("golden.jsonl (-want +got):\n%s", diff)
	}
	for l := range strings.Lines(buf.String()) {
		noDuplicates(t, l)
	}
}

func TestRequestLevel(t *testing.T) {
	for _, tc := range []struct {
		name    string
		opts    []logging.Option
		request []slog.Level // none, or the level set
		want    string       // what passes of debug, info, warn, error
	}{
		{"inner decides", nil, nil, "iwe"},
		{"request lower", nil, []slog.Level{slog.LevelDebug}, "diwe"},
		{"request higher", nil, []slog.Level{slog.LevelError}, "e"},
		{"own level over the inner's", []logging.Option{logging.WithLevel(slog.LevelDebug)}, nil, "diwe"},
		{"own level above the inner's", []logging.Option{logging.WithLevel(slog.LevelWarn)}, nil, "we"},
		{"request under own level", []logging.Option{logging.WithLevel(slog.LevelWarn)}, []slog.Level{slog.LevelInfo}, "iwe"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRequest(t)
			for _, l := range tc.request {
				ctxutil.SetLevel(s, l)
			}
			var buf bytes.Buffer
			h := logging.NewHandler(newJSON(&buf), tc.opts...)
			log := slog.New(h).With("a", 1).WithGroup("g")
			got := ""
			for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				buf.Reset()
				log.Log(s, l, "m")
				if (buf.Len() > 0) != h.Enabled(s, l) {
					t.Errorf("level %v: Enabled says %v, wrote %q", l, h.Enabled(s, l), buf.String())
				}
				if buf.Len() > 0 {
					got += strings.ToLower(l.String()[:1])
				}
			}
			if got != tc.want {
				t.Errorf("passed %q, want %q", got, tc.want)
			}
		})
	}
}

// TestHandleBelowRequestLevel is for handlers around ours that answer Enabled
// themselves: a level raised for a request holds all the same.
func TestHandleBelowRequestLevel(t *testing.T) {
	s := newRequest(t)
	s.SetLevel(slog.LevelWarn)
	var buf bytes.Buffer
	h := logging.NewHandler(newJSON(&buf))
	if err := h.Handle(s, slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)); err != nil {
		t.Fatal(err)
	}
	if buf.Len() > 0 {
		t.Errorf("wrote %s", buf.String())
	}
}

// TestCallForRequest is a record logged by a client call's transport: it
// belongs to the request that the call is made for, too.
func TestCallForRequest(t *testing.T) {
	request := newRequest(t)
	request.CorrelationID = "caller-7"
	request.Add(slog.String("order_id", "o-1"), slog.String("step", "handler"))
	request.SetLevel(slog.LevelDebug)
	ctx := trace.ContextWithSpanContext(request, spanContext(t, testTrace, "00f067aa0ba902b7"))
	call := new(scope.Scope)
	call.Init(ctx, trace.SpanFromContext(ctx))
	call.Add(slog.String("step", "call"))
	got := line(t, func(l *slog.Logger) { l.DebugContext(call, "m") })
	want := `{"level":"DEBUG","msg":"m","trace_id":"` + testTrace + `","span_id":"00f067aa0ba902b7","request_id":"caller-7","order_id":"o-1","step":"call"}`
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	call.SetLevel(slog.LevelError)
	if h := logging.NewHandler(slog.DiscardHandler); h.Enabled(call, slog.LevelWarn) || !h.Enabled(request, slog.LevelDebug) {
		t.Error("the call's own level does not come first")
	}
}

// TestMultiHandler holds the arrangement of the package comment.
func TestMultiHandler(t *testing.T) {
	s := newRequest(t)
	var all, few bytes.Buffer
	log := slog.New(slog.NewMultiHandler(
		logging.NewHandler(newJSON(&all)),
		logging.NewHandler(newJSON(&few), logging.WithLevel(slog.LevelWarn))))
	log.InfoContext(s, "one")
	s.SetLevel(slog.LevelDebug)
	log.DebugContext(s, "two")
	const ids = `,"trace_id":"` + testTrace + `","span_id":"` + testSpan + `"}` + "\n"
	one := `{"level":"INFO","msg":"one"` + ids
	two := `{"level":"DEBUG","msg":"two"` + ids
	if got := all.String(); got != one+two {
		t.Errorf("first handler wrote\n%swant\n%s", got, one+two)
	}
	if got := few.String(); got != two {
		t.Errorf("second handler wrote\n%swant\n%s", got, two)
	}
}

// TestComplete is about records that come with their ids, as those of the
// request log do.
func TestComplete(t *testing.T) {
	s := newRequest(t)
	s.Add(slog.String("order_id", "o-1"))
	const ids = `"trace_id":"` + testTrace + `","span_id":"` + testSpan + `"`
	own := []slog.Attr{slog.String("trace_id", testTrace), slog.String("span_id", testSpan)}
	for _, tc := range []struct {
		name  string
		with  func(*slog.Logger) *slog.Logger
		attrs []slog.Attr
		want  string
	}{
		{"passed on as it is", nil, append(own[:2:2], slog.String("method", "m")), ids + `,"method":"m"`},
		{"attributes of the logger stay", func(l *slog.Logger) *slog.Logger { return l.With("a", 1) },
			append(own[:2:2], slog.String("method", "m")), `"a":1,` + ids + `,"method":"m"`},
		{"attributes of the logger are overridden", func(l *slog.Logger) *slog.Logger { return l.With("method", 1) },
			append(own[:2:2], slog.String("method", "m")), `"method":"m",` + ids + `,"order_id":"o-1"`},
		{"ids stay out of groups", func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") },
			append(own[:2:2], slog.String("method", "m")),
			ids + `,"order_id":"o-1","g":{` + ids + `,"method":"m"}`},
		{"secrets are redacted", nil, append(own[:2:2], slog.String("token", "t")), ids + `,"order_id":"o-1","token":"[REDACTED]"`},
		{"reserved keys are renamed", nil, append(own[:2:2], slog.String("msg", "t")), ids + `,"order_id":"o-1","attr.msg":"t"`},
		{"only the trace id", nil, own[:1], ids + `,"order_id":"o-1"`},
		{"in another order", nil, []slog.Attr{own[1], own[0]}, ids + `,"order_id":"o-1"`},
		{"foreign ids", nil, []slog.Attr{slog.String("trace_id", "f"), own[1]}, ids + `,"order_id":"o-1","attr.trace_id":"f"`},
		{"foreign span id", nil, []slog.Attr{own[0], slog.String("span_id", "f")}, ids + `,"order_id":"o-1","attr.span_id":"f"`},
		{"an id that is no string", nil, []slog.Attr{slog.Int("trace_id", 1), own[1]}, ids + `,"order_id":"o-1","attr.trace_id":1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := line(t, func(l *slog.Logger) {
				if tc.with != nil {
					l = tc.with(l)
				}
				l.LogAttrs(s, slog.LevelInfo, "call", tc.attrs...)
			})
			if want := `{"level":"INFO","msg":"call",` + tc.want + "}"; got != want {
				t.Errorf("got\n%s want\n%s", got, want)
			}
		})
	}
}

func TestMaxAttrs(t *testing.T) {
	s := newRequest(t)
	got := line(t, func(l *slog.Logger) {
		l.InfoContext(s, "m", "a", 1, slog.Group("g", "b", 2, "c", 3, "d", 4), "e", 5)
	}, logging.WithMaxAttrs(3))
	want := `{"level":"INFO","msg":"m","trace_id":"` + testTrace + `","span_id":"` + testSpan + `","a":1,"g":{"b":2,"c":3},"dropped_attrs":2}`
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	got = line(t, func(l *slog.Logger) {
		l.With("a", 1, "b", 2).With("c", 3, "d", 4).InfoContext(t.Context(), "m", "e", 5)
	}, logging.WithMaxAttrs(3))
	want = `{"level":"INFO","msg":"m","a":1,"b":2,"c":3,"e":5,"dropped_attrs":1}`
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

// TestMaxAttrsOfComplete is for a record that could be passed on if the logger
// had nothing to say.
func TestMaxAttrsOfComplete(t *testing.T) {
	s := newRequest(t)
	got := line(t, func(l *slog.Logger) {
		l.With("a", 1, "b", 2, "c", 3).LogAttrs(s, slog.LevelInfo, "m", slog.String("trace_id", testTrace), slog.String("span_id", testSpan))
	}, logging.Options(logging.WithMaxAttrs(0), logging.WithMaxAttrs(2), nil), nil)
	want := `{"level":"INFO","msg":"m","a":1,"b":2,"trace_id":"` + testTrace + `","span_id":"` + testSpan + `","dropped_attrs":1}`
	if got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

// TestGivenSlicesStay is for groups that need cleaning: what the caller gave
// is the caller's.
func TestGivenSlicesStay(t *testing.T) {
	members := []slog.Attr{slog.String("a", "1"), slog.String("token", "t"), slog.String("a", "2")}
	deep := []slog.Attr{slog.Int("a", 1), slog.Int("a", 2), slog.Int("b", 3)}
	before := fmt.Sprint(members, deep)
	with := []slog.Attr{slog.Int("x", 1), slog.GroupAttrs("g", members...)}
	l := slog.New(logging.NewHandler(slog.DiscardHandler, logging.WithLevel(slog.LevelInfo)))
	l.LogAttrs(t.Context(), slog.LevelInfo, "m", slog.GroupAttrs("g", members...), slog.GroupAttrs("d", deep...))
	slog.New(l.Handler().WithAttrs(with)).WithGroup("h").LogAttrs(t.Context(), slog.LevelInfo, "m", slog.GroupAttrs("d", deep...))
	if got := fmt.Sprint(members, deep); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
}

// TestNilContext is for callers of Handle other than slog.
func TestNilContext(t *testing.T) {
	var buf bytes.Buffer
	var none context.Context
	h := logging.NewHandler(newJSON(&buf))
	if !h.Enabled(none, slog.LevelInfo) {
		t.Error("not enabled")
	}
	if err := h.Handle(none, slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)); err != nil {
		t.Fatal(err)
	}
	if got, want := buf.String(), "{\"level\":\"INFO\",\"msg\":\"m\"}\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestInnerError is what Handle returns.
func TestInnerError(t *testing.T) {
	want := errors.New("disk full")
	h := logging.NewHandler(failing{want})
	if got := h.Handle(context.Background(), slog.Record{}); !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

type failing struct{ err error }

func (failing) Enabled(context.Context, slog.Level) bool    { return true }
func (f failing) Handle(context.Context, slog.Record) error { return f.err }
func (f failing) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f failing) WithGroup(string) slog.Handler             { return f }

func TestNilHandlerPanics(t *testing.T) {
	defer func() {
		if got := recover(); got != "logging: NewHandler: nil handler" {
			t.Errorf("panic value %v", got)
		}
	}()
	logging.NewHandler(nil)
}

// TestLoggersAreIndependent guards against handlers that share a slice.
func TestLoggersAreIndependent(t *testing.T) {
	for _, group := range []string{"", "g"} {
		var buf bytes.Buffer
		base := slog.New(logging.NewHandler(newJSON(&buf))).WithGroup(group).With("a", 1).With("b", 2).With("c", 3)
		one, two := base.With("x", "one"), base.With("x", "two")
		one.Info("m", "y", 1)
		two.Info("m", "y", 2)
		base.WithGroup("h").Info("m", "y", 3)
		one.Info("m", "b", 0)
		want := []string{
			`"a":1,"b":2,"c":3,"x":"one","y":1`,
			`"a":1,"b":2,"c":3,"x":"two","y":2`,
			`"a":1,"b":2,"c":3,"h":{"y":3}`,
			`"a":1,"b":0,"c":3,"x":"one"`,
		}
		for i, got := range strings.Split(strings.TrimSpace(buf.String()), "\n") {
			full := `{"level":"INFO","msg":"m",` + want[i] + "}"
			if group != "" {
				full = `{"level":"INFO","msg":"m","g":{` + want[i] + "}}"
			}
			if got != full {
				t.Errorf("got\n%s want\n%s", got, full)
			}
		}
	}
}
