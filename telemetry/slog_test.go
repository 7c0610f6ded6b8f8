// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/telemetry"
)

// memory keeps log records.
type memory struct {
	mu      sync.Mutex
	records []sdklog.Record
}

func (m *memory) Export(_ context.Context, records []sdklog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.records = append(m.records, r.Clone())
	}
	return nil
}

func (*memory) ForceFlush(context.Context) error { return nil }
func (*memory) Shutdown(context.Context) error   { return nil }

func TestOneLoggerTwoDestinations(t *testing.T) {
	var written bytes.Buffer
	exported := &memory{}
	tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogExporter(exported), telemetry.WithLogLevel(slog.LevelWarn))
	logger := slog.New(slog.NewMultiHandler(
		logging.NewHandler(slog.NewJSONHandler(&written, nil)),
		tel.SlogHandler()))
	ctx, span := tel.TracerProvider().Tracer("test").Start(withTraceparent(t, "01"), "span")
	logger.InfoContext(ctx, "only written")
	logger.With("a", 1).WithGroup("g").ErrorContext(ctx, "both", "b", 2, "token", "hunter2")
	logger.Error("no span here", slog.String("trace_id", "mine"))
	span.End()
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(written.String(), `"trace_id":"`+traceID+`"`); got != 2 {
		t.Errorf("%d written lines have the trace id, want 2:\n%s", got, written.String())
	}
	if len(exported.records) != 2 {
		t.Fatalf("%d records exported, want the 2 of level error", len(exported.records))
	}
	first, second := exported.records[0], exported.records[1]
	if first.TraceID() != span.SpanContext().TraceID() || first.SpanID() != span.SpanContext().SpanID() ||
		first.TraceFlags() != trace.FlagsSampled || first.Severity() != log.SeverityError {
		t.Errorf("record %v %v %v %v, want the ids, the flag and the severity", first.TraceID(), first.SpanID(), first.TraceFlags(), first.Severity())
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "g": `{"b":2,"token":"[REDACTED]"}`}, attrs(first)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	// Nobody may fake an id, and what is no duplicate is not lost.
	if diff := cmp.Diff(map[string]string{"attr.trace_id": "mine"}, attrs(second)); diff != "" {
		t.Errorf("attributes without a span (-want +got):\n%s", diff)
	}
}

func attrs(r sdklog.Record) map[string]string {
	out := make(map[string]string)
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		out[string(kv.Key)] = kv.Value.String()
		return true
	})
	return out
}
