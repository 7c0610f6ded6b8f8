// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// telemetry captures what a recorder writes.
type telemetry struct {
	spans    *tracetest.SpanRecorder
	provider *sdktrace.TracerProvider
	registry *prometheus.Registry
	logs     *lines
	logger   *slog.Logger
	recorder *record.Recorder
}

// lines collects JSON log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// all returns the lines logged so far.
func (l *lines) all(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		out = append(out, m)
	}
	return out
}

// withMessage returns the one line with a message.
func (l *lines) withMessage(t *testing.T, msg string) map[string]any {
	t.Helper()
	var found []map[string]any
	for _, m := range l.all(t) {
		if m["msg"] == msg {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d lines with message %q, want 1; all lines: %v", len(found), msg, l.all(t))
	}
	return found[0]
}

func newTelemetry(t testing.TB, sampler sdktrace.Sampler, opts ...record.Option) *telemetry {
	t.Helper()
	tel := &telemetry{spans: tracetest.NewSpanRecorder(), registry: prometheus.NewRegistry(), logs: &lines{}}
	tel.provider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(tel.spans))
	set, err := metrics.New(tel.registry)
	if err != nil {
		t.Fatal(err)
	}
	tel.logger = slog.New(logging.NewHandler(slog.NewJSONHandler(tel.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	tel.recorder, err = record.New(append([]record.Option{
		record.WithTracerProvider(tel.provider), record.WithMetrics(set), record.WithLogger(tel.logger),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

// ended returns the ended spans of a kind.
func (tel *telemetry) ended(kind trace.SpanKind) []sdktrace.ReadOnlySpan {
	var out []sdktrace.ReadOnlySpan
	for _, s := range tel.spans.Ended() {
		if s.SpanKind() == kind {
			out = append(out, s)
		}
	}
	return out
}

// one returns the one ended span of a kind.
func (tel *telemetry) one(t *testing.T, kind trace.SpanKind) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := tel.ended(kind)
	if len(spans) != 1 {
		t.Fatalf("%d ended spans of kind %v, want 1", len(spans), kind)
	}
	return spans[0]
}

func attrsOf(s sdktrace.ReadOnlySpan) map[attribute.Key]attribute.Value {
	m := map[attribute.Key]attribute.Value{}
	for _, kv := range s.Attributes() {
		m[kv.Key] = kv.Value
	}
	return m
}

// noneLeft fails the test if a span was started and not ended, or ended twice.
func (tel *telemetry) noneLeft(t *testing.T) {
	t.Helper()
	started, ended := tel.spans.Started(), tel.spans.Ended()
	if len(started) != len(ended) {
		t.Errorf("%d spans started, %d ended", len(started), len(ended))
	}
	seen := map[trace.SpanID]bool{}
	for _, s := range ended {
		if id := s.SpanContext().SpanID(); seen[id] {
			t.Errorf("span %v (%s) ended twice", id, s.Name())
		} else {
			seen[id] = true
		}
	}
}

// family returns the series of a metric.
func (tel *telemetry) family(t *testing.T, name string) []*dto.Metric {
	t.Helper()
	families, err := tel.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()
		}
	}
	return nil
}

// idle fails the test if a gauge of calls in progress is not 0.
func (tel *telemetry) idle(t *testing.T) {
	t.Helper()
	for _, name := range []string{"rpc_server_active_calls", "rpc_client_active_calls"} {
		for _, m := range tel.family(t, name) {
			if got := m.GetGauge().GetValue(); got != 0 {
				t.Errorf("%s of %s is %v, want 0", name, label(m, "rpc_method"), got)
			}
		}
	}
}

// label returns a label's value.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// exemplarOf returns the exemplar of a histogram that has one.
func exemplarOf(m *dto.Metric) *dto.Exemplar {
	for _, b := range m.GetHistogram().GetBucket() {
		if e := b.GetExemplar(); e != nil {
			return e
		}
	}
	for _, e := range m.GetHistogram().GetExemplars() {
		return e
	}
	return nil
}

func attributeKey(k string) attribute.Key { return attribute.Key(k) }
