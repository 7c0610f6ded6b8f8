// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
	"github.com/fairlead-go/fairlead/logging"
)

// provider returns a tracer provider of one service that records into rec.
func provider(rec *report.Recorder, service string) trace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", service))))
}

func TestRecorder(t *testing.T) {
	rec := report.NewRecorder()
	log := slog.New(logging.NewHandler(slog.NewJSONHandler(rec.LogWriter(), nil), logging.WithService("order", "", "")))
	ctx, parent := provider(rec, "gateway").Tracer("t").Start(t.Context(), "POST /orders")
	ctx, child := provider(rec, "order").Tracer("t").Start(ctx, "PlaceOrder", trace.WithSpanKind(trace.SpanKindServer))
	log.InfoContext(ctx, "placed", "sku", "mug")
	log.Info("belongs to nothing")
	child.AddEvent("retry", trace.WithTimestamp(at(7)), trace.WithAttributes(
		attribute.String("fairlead.outcome", "transient\n"), attribute.Int("fairlead.attempt", 2), attribute.Float64("fairlead.backoff_ms", 12.345)))
	child.SetStatus(codes.Error, "no")
	child.End()
	parent.End()

	got, err := rec.Trace(t.Context(), parent.SpanContext().TraceID().String())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Spans) != 2 || len(got.Lines) != 1 {
		t.Fatalf("%d spans, %d lines; want 2 and 1", len(got.Spans), len(got.Lines))
	}
	want := report.Span{
		ID: child.SpanContext().SpanID().String(), ParentID: parent.SpanContext().SpanID().String(),
		Service: "order", Name: "PlaceOrder", Kind: "server", Failed: true, Message: "no",
		Start: got.Spans[1].Start, Duration: got.Spans[1].Duration,
		Events: []report.Event{{At: at(7).Local(), Name: "retry", Text: `outcome="transient\n"  attempt=2  backoff_ms=12.3`}},
	}
	if diff := cmp.Diff(want, got.Spans[1]); diff != "" {
		t.Errorf("second span (-want +got):\n%s", diff)
	}
	if !strings.Contains(string(got.Lines[0]), `"msg":"placed"`) {
		t.Errorf("line %s", got.Lines[0])
	}
	if _, err := rec.Trace(t.Context(), "?"); !errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("Trace = %v, want ErrUnknownTrace", err)
	}
}

func TestRecorderIsBounded(t *testing.T) {
	rec := report.NewRecorder()
	tracer := provider(rec, "order").Tracer("t")
	var ids []string
	for range 5000 {
		_, s := tracer.Start(t.Context(), "request")
		s.End()
		ids = append(ids, s.SpanContext().TraceID().String())
	}
	if _, err := rec.Trace(t.Context(), ids[0]); !errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("the first of 5000 traces: %v, want it forgotten", err)
	}
	for _, id := range ids[len(ids)-4096:] {
		if _, err := rec.Trace(t.Context(), id); err != nil {
			t.Fatalf("one of the last 4096 traces: %v", err)
		}
	}

	ctx, endless := tracer.Start(t.Context(), "request")
	id := endless.SpanContext().TraceID().String()
	for range 300 {
		_, s := tracer.Start(ctx, "step")
		s.End()
		fmt.Fprintf(rec.LogWriter(), `{"msg":"step","trace_id":%q}`+"\n", id)
	}
	fmt.Fprintf(rec.LogWriter(), `{"msg":%q,"trace_id":"another"}`, strings.Repeat("x", 1<<20))
	got, err := rec.Trace(t.Context(), id)
	if err != nil || len(got.Spans) != 256 || len(got.Lines) != 256 || got.Dropped != 88 {
		t.Errorf("%d spans, %d lines, %d dropped, %v", len(got.Spans), len(got.Lines), got.Dropped, err)
	}
	if _, err := rec.Trace(t.Context(), "another"); err == nil {
		t.Error("a line of a megabyte was kept")
	}
}

// stub is a source that knows one trace.
type stub struct {
	trace *report.Trace
	err   error
}

func (s stub) Trace(_ context.Context, id string) (*report.Trace, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.trace == nil || s.trace.ID != id {
		return nil, report.ErrUnknownTrace
	}
	return s.trace, nil
}

func at(ms int) time.Time { return time.UnixMilli(int64(ms)).UTC() }

func logLine(ms int, text string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"time":%q,"msg":%q}`, at(ms).Format(time.RFC3339Nano), text))
}

func TestMerge(t *testing.T) {
	gateway := stub{trace: &report.Trace{
		ID: "1", Spans: []report.Span{{ID: "a", Start: at(0)}}, Lines: []json.RawMessage{logLine(9, "last")}, Dropped: 1,
	}}
	order := stub{trace: &report.Trace{
		ID: "1", Spans: []report.Span{{ID: "b", Start: at(5)}}, Lines: []json.RawMessage{logLine(5, "first")}, Dropped: 2,
	}}
	down := stub{err: errors.New("connection refused")}

	got, err := report.Merge(order, down, gateway).Trace(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	want := &report.Trace{
		ID:    "1",
		Spans: []report.Span{{ID: "a", Start: at(0)}, {ID: "b", Start: at(5)}},
		Lines: []json.RawMessage{logLine(5, "first"), logLine(9, "last")}, Dropped: 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if _, err := report.Merge(order, gateway).Trace(t.Context(), "2"); !errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("unknown trace: %v", err)
	}
	if _, err := report.Merge(down).Trace(t.Context(), "1"); !errors.Is(err, down.err) {
		t.Errorf("source that is down: %v", err)
	}
}

func TestKeeper(t *testing.T) {
	source := &stub{trace: &report.Trace{ID: "1"}}
	k := report.NewKeeper(source)
	k.Keep(t.Context(), "slow", "1")
	k.Keep(t.Context(), "slow", "")
	k.Keep(t.Context(), "failed", "unknown")
	source.trace = &report.Trace{ID: "2"} // the first one is forgotten

	for id, want := range map[string]string{"slow": "1", "1": "1", "2": "2"} {
		if got, err := k.Trace(t.Context(), id); err != nil || got.ID != want {
			t.Errorf("Trace(%q) = %v, %v; want %s", id, got, err, want)
		}
	}
	for _, id := range []string{"failed", "unknown"} {
		if _, err := k.Trace(t.Context(), id); !errors.Is(err, report.ErrUnknownTrace) {
			t.Errorf("Trace(%q) = %v, want ErrUnknownTrace", id, err)
		}
	}
	k.Keep(t.Context(), "slow", "2")
	if got := k.Kept("slow"); got.ID != "2" {
		t.Errorf("kept %v, want the newer one", got)
	}
}

func TestRemote(t *testing.T) {
	known := &report.Trace{ID: "1", Spans: []report.Span{{ID: "a", Name: "x", Start: at(1)}}, Lines: []json.RawMessage{logLine(1, "hello")}}
	srv := httptest.NewServer(report.Handler(stub{trace: known}, report.NewJournal()))
	defer srv.Close()
	remote := report.Remote{Base: srv.URL, Client: srv.Client()}
	got, err := remote.Trace(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(known, got); diff != "" {
		t.Errorf("remote trace (-want +got):\n%s", diff)
	}
	if _, err := remote.Trace(t.Context(), "../1?"); !errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("unknown trace: %v", err)
	}
	srv.Close()
	if _, err := remote.Trace(t.Context(), "1"); err == nil || errors.Is(err, report.ErrUnknownTrace) {
		t.Errorf("server that is down: %v", err)
	}

	broken := httptest.NewServer(report.Handler(stub{err: errors.New("boom")}, report.MergeNews(report.Remote{Base: srv.URL, Client: srv.Client()})))
	defer broken.Close()
	if _, err := (report.Remote{Base: broken.URL, Client: broken.Client()}).Trace(t.Context(), "1"); err == nil {
		t.Error("a server that fails was believed")
	}
	if _, err := (report.Remote{Base: broken.URL, Client: broken.Client()}).News(t.Context()); err == nil {
		t.Error("a server that fails was believed when it had no news")
	}
}
