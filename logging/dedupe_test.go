// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/scope"
)

// TestNoKeyTwice is the rule of the package comment, go.dev/issue/56345.
func TestNoKeyTwice(t *testing.T) {
	g := func(args ...any) slog.Attr { return slog.Group("g", args...) }
	inline := func(args ...any) slog.Attr { return slog.Group("", args...) }
	for _, tc := range []struct {
		name    string
		request []slog.Attr
		log     func(context.Context, *slog.Logger)
		want    string // after the ids
	}{
		{"later of the record's", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a", 1, "b", 2, "a", 3)
		}, `"a":3,"b":2`},
		{"later of the logger's", nil, func(ctx context.Context, l *slog.Logger) {
			l.With("a", 1, "a", 2).With("a", 3).InfoContext(ctx, "m")
		}, `"a":3,IDS`},
		{"record over logger", nil, func(ctx context.Context, l *slog.Logger) {
			l.With("a", 1, "b", 2).InfoContext(ctx, "m", "c", 3, "a", 4)
		}, `"a":4,"b":2,IDS,"c":3`},
		{"record over request", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2)}, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a", 3)
		}, `"a":3,"b":2`},
		{"logger over request", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2)}, func(ctx context.Context, l *slog.Logger) {
			l.With("a", 3).InfoContext(ctx, "m")
		}, `"a":3,IDS,"b":2`},
		{"record over both", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2)}, func(ctx context.Context, l *slog.Logger) {
			l.With("a", 3).InfoContext(ctx, "m", "a", 4)
		}, `"a":4,IDS,"b":2`},
		{"caller's id can be said better", nil, func(ctx context.Context, l *slog.Logger) {
			scope.From(ctx).CorrelationID = "old"
			l.InfoContext(ctx, "m", "request_id", "new")
		}, `"request_id":"new"`},
		{"within a group", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", g("a", 1, "b", 2, "a", 3))
		}, `"g":{"a":3,"b":2}`},
		{"within a group of a group", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", g("a", 1, slog.Group("h", "b", 2, "b", 3), "c", 4))
		}, `"g":{"a":1,"h":{"b":3},"c":4}`},
		{"same key on two levels is no conflict", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a", 1, g("a", 2, "trace_id", "mine", "msg", "mine"))
		}, `"a":1,"g":{"a":2,"trace_id":"mine","msg":"mine"}`},
		{"two groups become one", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", g("a", 1, "b", 2), g("b", 3, "c", 4))
		}, `"g":{"a":1,"b":3,"c":4}`},
		{"open group and group attribute", nil, func(ctx context.Context, l *slog.Logger) {
			l.With(g("a", 1)).WithGroup("g").InfoContext(ctx, "m", "b", 2)
		}, `"g":{"a":1,"b":2},IDS`},
		{"open groups with attributes", nil, func(ctx context.Context, l *slog.Logger) {
			l.WithGroup("g").With("a", 1, slog.Group("h", "x", 1)).WithGroup("h").InfoContext(ctx, "m", "b", 2, "b", 3)
		}, `"g":{"a":1,"h":{"x":1,"b":3}}`},
		{"group over value", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "g", 1, g("a", 2))
		}, `"g":{"a":2}`},
		{"value over group", []slog.Attr{g("a", 1)}, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "g", 1)
		}, `"g":1`},
		{"inlined group", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a", 1, inline("a", 2, inline("b", 3, "msg", "x")), "b", 4)
		}, `"a":2,"b":4,"attr.msg":"x"`},
		{"inlined in a group", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", g("a", 1, inline("a", 2)), inline())
		}, `"g":{"a":2}`},
		{"group of a LogValuer", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "g", valuer{slog.GroupValue(slog.Int("a", 1), slog.Any("a", valuer{slog.IntValue(2)}))})
		}, `"g":{"a":2}`},
		{"inlined LogValuer", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a", 1, "", valuer{slog.GroupValue(slog.Int("a", 2))})
		}, `"a":2`},
		{"group with a reserved name", nil, func(ctx context.Context, l *slog.Logger) {
			l.WithGroup("trace_id").InfoContext(ctx, "m", "a", 1)
		}, `"attr.trace_id":{"a":1}`},
		{"reserved keys of the request", []slog.Attr{slog.String("span_id", "fake")}, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m")
		}, `"attr.span_id":"fake"`},
		{"reserved keys of the logger", nil, func(ctx context.Context, l *slog.Logger) {
			l.With("trace_id", "fake", "level", 1).InfoContext(ctx, "m")
		}, `"attr.trace_id":"fake","attr.level":1,IDS`},
		{"keys that escape to the same", nil, func(ctx context.Context, l *slog.Logger) {
			l.InfoContext(ctx, "m", "a\n", 1, `a\n`, 2)
		}, `"a\\n":2`},
		{"added late", nil, func(ctx context.Context, l *slog.Logger) {
			ctxutil.Add(ctx, slog.String("a", "late"))
			ctxutil.Add(ctx, slog.String("a", "later"))
			l.InfoContext(ctx, "m")
		}, `"a":"later"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRequest(t)
			s.Add(tc.request...)
			got := line(t, func(l *slog.Logger) { tc.log(s, l) })
			noDuplicates(t, got)
			if want := expand(tc.want); got != want {
				t.Errorf("got\n%s want\n%s", got, want)
			}
		})
	}
}

// expand completes what is after the ids to a line.
func expand(attrs string) string {
	const ids, mark = `"trace_id":"` + testTrace + `","span_id":"` + testSpan + `"`, "IDS"
	for i := range len(attrs) - len(mark) + 1 {
		if attrs[i:i+len(mark)] == mark {
			return `{"level":"INFO","msg":"m",` + attrs[:i] + ids + attrs[i+len(mark):] + "}"
		}
	}
	return `{"level":"INFO","msg":"m",` + ids + "," + attrs + "}"
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }
