// SPDX-License-Identifier: Apache-2.0

package scope_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/internal/scope"
)

func newScope() *scope.Scope {
	s := new(scope.Scope)
	ctx := trace.ContextWithSpanContext(context.Background(), scope.NewSpanContext(trace.TraceID{}))
	s.Init(ctx, trace.SpanFromContext(ctx))
	return s
}

func TestInheritCopies(t *testing.T) {
	from := newScope()
	from.CorrelationID = "caller-7"
	for i := range scope.MaxAttrs + 3 {
		from.Add(slog.Int(strconv.Itoa(i), i))
	}
	s := newScope()
	s.Inherit(from)
	if s.CorrelationID != "caller-7" || s.Dropped() != 3 {
		t.Errorf("correlation id %q, %d attributes dropped, want those of the request", s.CorrelationID, s.Dropped())
	}
	s.Add(slog.Int("0", -1))
	from.Add(slog.Int("1", -1))
	for _, got := range [][]slog.Attr{s.AppendAttrs(nil), from.AppendAttrs(nil)} {
		if len(got) != scope.MaxAttrs {
			t.Fatalf("%d attributes, want %d", len(got), scope.MaxAttrs)
		}
	}
	if got := s.AppendAttrs(nil); got[0].Value.Int64() != -1 || got[1].Value.Int64() != 1 {
		t.Errorf("the copy begins with %v, want its own change and not the request's", got[:2])
	}
	if got := from.AppendAttrs(nil); got[0].Value.Int64() != 0 {
		t.Errorf("the request begins with %v, want no change of the copy's", got[:2])
	}
}

func TestInheritUnrecorded(t *testing.T) {
	from, other := newScope(), newScope()
	from.Unrecorded = true
	other.Inherit(from)
	if other.Unrecorded {
		t.Error("another span is unrecorded because the request's is")
	}
	same := new(scope.Scope)
	same.Init(from, from.Span)
	same.Inherit(from)
	if !same.Unrecorded {
		t.Error("the same identity is recorded now")
	}
	same.Inherit(nil)
}

func TestNewSpanContext(t *testing.T) {
	a, b := scope.NewSpanContext(trace.TraceID{}), scope.NewSpanContext(trace.TraceID{})
	if !a.IsValid() || !b.IsValid() || a.TraceID() == b.TraceID() || a.SpanID() == b.SpanID() || a.IsSampled() {
		t.Errorf("%v and %v, want two valid, unsampled identities", a, b)
	}
	if c := scope.NewSpanContext(a.TraceID()); c.TraceID() != a.TraceID() || c.SpanID() == a.SpanID() {
		t.Errorf("%v, want another span in trace %s", c, a.TraceID())
	}
}
