// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// TestAssertions holds every assertion against a good run with an orphan and an
// uncorrelated line added: those that must fail say what with.
func TestAssertions(t *testing.T) {
	type T = telemetrytest.Trace
	request := func(r *telemetrytest.Run) *T { return r.Traces().With("GET /orders/{id}").All()[0] }
	for _, tc := range []struct {
		name   string
		assert func(*telemetrytest.Run)
		want   []string // parts of the failure; none for a pass
	}{
		{"covers", func(r *telemetrytest.Run) { request(r).Covers("gateway", "order") }, nil},
		{"does not cover", func(r *telemetrytest.Run) { request(r).Covers("gateway", "payment", "notify") },
			[]string{"does not reach payment, notify", "└─ GET /orders/{id}  gateway"}},
		{"all cover", func(r *telemetrytest.Run) { r.Traces().With("shop.Order/Get").Covers("order") }, nil},
		{"not all cover", func(r *telemetrytest.Run) { r.Traces().Covers("gateway") }, []string{"does not reach gateway", "lost child"}},
		{"no trace covers", func(r *telemetrytest.Run) { r.Traces().With("nothing").Covers() }, []string{"no trace to look at"}},
		{"no orphans", func(r *telemetrytest.Run) { request(r).NoOrphans() }, nil},
		{"orphan", func(r *telemetrytest.Run) { r.Trace(strangeTrace).NoOrphans() },
			[]string{"span-parent", `"lost child"`, "PARENT " + strangeSpan + " IS NOT IN THE RUN"}},
		{"declared orphan", func(r *telemetrytest.Run) { r.Trace(strangeTrace).NoOrphans(telemetrytest.External(strangeSpan)) }, nil},
		{"no orphans among some", func(r *telemetrytest.Run) { r.Traces().With("shop.Order/Get").NoOrphans() }, nil},
		{"orphan among all", func(r *telemetrytest.Run) { r.Traces().NoOrphans() }, []string{"lost child"}},
		{"no orphans among none", func(r *telemetrytest.Run) { r.Traces().With("nothing").NoOrphans() }, []string{"no trace to look at"}},
		{"no such trace", func(r *telemetrytest.Run) { r.Trace("abc") }, []string{`"abc" is not in the run, which has 2 traces`}},
		{"no such span", func(r *telemetrytest.Run) { request(r).Span("nothing") }, []string{`no span "nothing"`, "trace "}},
		{"ancestor", func(r *telemetrytest.Run) {
			request(r).Span("GET /orders/{id}").IsAncestorOf("shop.Order/Get", "POST payment")
		}, nil},
		{"no ancestor", func(r *telemetrytest.Run) { request(r).Span("POST payment").IsAncestorOf("shop.Order/Get") },
			[]string{`no span "shop.Order/Get" below span "POST payment" of order`, "└─"}},
		{"not its own ancestor", func(r *telemetrytest.Run) { request(r).Span("POST payment").IsAncestorOf("POST payment") },
			[]string{`no span "POST payment" below`}},
		{"descendant", func(r *telemetrytest.Run) {
			request(r).Span("POST payment").IsDescendantOf("shop.Order/Get", "GET /orders/{id}")
		}, nil},
		{"no descendant", func(r *telemetrytest.Run) { request(r).Span("GET /orders/{id}").IsDescendantOf("POST payment") },
			[]string{`no span "POST payment" above span "GET /orders/{id}"`}},
		{"correlated", func(r *telemetrytest.Run) { request(r).Logs().AllCorrelated() }, nil},
		{"correlated messages", func(r *telemetrytest.Run) { r.Logs().With("looked up").AllCorrelated() }, nil},
		{"uncorrelated", func(r *telemetrytest.Run) { r.Logs().AllCorrelated() }, []string{"log-correlated", `"msg":"lost"`}},
		{"declared uncorrelated", func(r *telemetrytest.Run) { r.Logs().AllCorrelated(telemetrytest.Uncorrelated("lost")) }, nil},
		{"no line correlated", func(r *telemetrytest.Run) { r.Logs().With("nothing").AllCorrelated() }, []string{"no log line to look at"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			w.request()
			w.spanAt(fromStranger(), "lost child", 0, 1)
			w.logger("order").Info("lost")
			var tb fakeTB
			tc.assert(w.rec.Run(&tb))
			if (len(tb.errors) > 0) != (tc.want != nil) || !containsAll(tb.String(), tc.want) {
				t.Errorf("got %q, want a failure with %q", tb.errors, tc.want)
			}
		})
	}
}

func TestAssertionWithoutATest(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, `"abc" is not in the run`) {
			t.Errorf("got panic %q", got)
		}
	}()
	telemetrytest.NewRecorder().Run(nil).Trace("abc")
}

// TestReportIsBounded keeps one fault that is everywhere from filling the log.
func TestReportIsBounded(t *testing.T) {
	w := newWorld()
	for i := range 100 {
		w.spanAt(fromStranger(), fmt.Sprint("lost ", i), 0, 1)
	}
	var tb fakeTB
	telemetrytest.Check(&tb, w.rec.Run(t))
	if len(tb.errors) != 6 || tb.errors[5] != "telemetrytest: span-parent: … and 95 more problems" {
		t.Errorf("got %d failures, want five problems and a remainder:\n%s", len(tb.errors), tb.errors[len(tb.errors)-1])
	}
	if got := len(w.rec.Run(t).Problems()); got != 100 {
		t.Errorf("Problems returned %d, want all 100", got)
	}
}

func TestRunIsRead(t *testing.T) {
	w := newWorld()
	w.request()
	run := w.rec.Run(t)
	tr := run.Traces().All()[0]
	if got, want := tr.Services(), []string{"gateway", "order"}; !cmp.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	if got := len(tr.Roots()); got != 1 || tr.Roots()[0].Name != "GET /orders/{id}" {
		t.Errorf("roots %v", tr.Roots())
	}
	s := tr.Span("POST payment")
	if code, ok := s.Attr("http.response.status_code"); !ok || code.AsString() != "503" {
		t.Errorf("code %v, %t", code, ok)
	}
	if s.ParentSpan().Name != "shop.Order/Get" || s.ParentSpan().Service != "order" || s.Trace() != tr || s.Scope != "test" {
		t.Errorf("got parent %v, trace %v, scope %q", s.ParentSpan(), s.Trace(), s.Scope)
	}
	if got := s.ParentSpan().Children(); len(got) != 1 || got[0] != s {
		t.Errorf("children of the parent: %v", got)
	}
	lines := s.Logs()
	if lines.Len() != 1 || lines.All()[0].Span() != s || lines.All()[0].Message != "http client request" || lines.All()[0].Level != "INFO" {
		t.Fatalf("lines of the span: %v", lines.All())
	}
	if ms, ok := lines.All()[0].Attr("duration_ms"); !ok || ms != 1.0 {
		t.Errorf("duration_ms %v, %t", ms, ok)
	}
	if _, ok := lines.All()[0].Attr("absent"); ok {
		t.Error("an absent key is there")
	}
	if got := tr.Logs().Len(); got != 5 {
		t.Errorf("%d lines of the trace, want 4 of calls and 1 of the handler", got)
	}
	if run.Traces().Len() != 1 || len(run.Spans()) != 5 || len(tr.Spans()) != 5 {
		t.Errorf("%d traces, %d spans, %d in the trace", run.Traces().Len(), len(run.Spans()), len(tr.Spans()))
	}
}

func TestTree(t *testing.T) {
	w := newWorld()
	ids := &counting{}
	tracer := w.rec.TracerProvider("order", withIDs(ids)).Tracer("")
	at := func(d time.Duration) trace.SpanStartOption { return trace.WithTimestamp(w.now.Add(d)) }
	end := func(s trace.Span, d time.Duration) { s.End(trace.WithTimestamp(w.now.Add(d))) }
	ctx, root := tracer.Start(fromStranger(), "root", at(0), trace.WithSpanKind(trace.SpanKindServer))
	bctx, b := tracer.Start(ctx, "b", at(2)) // before a, which started earlier by the clock
	_, a := tracer.Start(ctx, "a", at(1))
	tracer.Start(bctx, "open", at(3))
	b.SetName("b\x1b[2J")
	b.SetStatus(codes.Error, "broken")
	end(a, 5)
	end(b, 2+time.Millisecond)
	end(root, time.Second)

	want := `trace 0af7651916cd43dd8448eb211c80319c
└─ root  order  server  1s  0000000000000001  PARENT b7ad6b7169203331 IS NOT IN THE RUN
   ├─ a  order  internal  4ns  0000000000000003
   └─ b�[2J  order  internal  1ms  0000000000000002  ERROR broken
      └─ open  order  internal  0000000000000004  NOT ENDED
`
	run := w.rec.Run(t)
	if diff := cmp.Diff(want, run.Tree(strangeTrace)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if got := run.Tree("abc"); got != "trace abc is not in the run\n" {
		t.Errorf("tree of an unknown trace: %q", got)
	}
}

func TestTreeIsBounded(t *testing.T) {
	w := newWorld()
	ctx := w.spanAt(context.Background(), "root", 0, time.Hour)
	for range 150 {
		w.spanAt(ctx, "child", 1, 2)
	}
	got := w.rec.Run(t).Traces().All()[0].Tree()
	if lines := strings.Count(got, "\n"); lines != 102 || !strings.HasSuffix(got, "… and 51 more spans\n") {
		t.Errorf("%d lines, want a head, 100 spans and a remainder:\n%s", lines, got)
	}
}

// TestCircle cannot happen with an SDK, and must not hang a test if it does.
func TestCircle(t *testing.T) {
	w := newWorld()
	tracer := w.rec.TracerProvider("order", withIDs(&counting{})).Tracer("")
	below := func(id byte) context.Context {
		sc := strange().WithSpanID(trace.SpanID{7: id})
		return trace.ContextWithRemoteSpanContext(context.Background(), sc)
	}
	for _, parent := range []byte{2, 1, 1} {
		_, s := tracer.Start(below(parent), fmt.Sprint("below ", parent))
		s.End()
	}
	var tb fakeTB
	tr := w.rec.Run(&tb).Trace(strangeTrace)
	tr.Span("below 2").IsAncestorOf("below 1").IsAncestorOf("nothing")
	if above := tr.Spans()[2].IsDescendantOf("below 1", "below 2"); above.SpanID() != "0000000000000003" {
		t.Errorf("got %s, want the third", above)
	}
	if len(tb.errors) != 1 || strings.Count(tb.String(), "below 1") != 2 {
		t.Errorf("got %q", tb.errors)
	}
}
