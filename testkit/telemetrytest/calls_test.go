// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// dbCalls is a kind of call that a user described.
var dbCalls = telemetrytest.WithCalls(telemetrytest.CallKind{
	Name: "query", Span: trace.SpanKindClient, Message: "query", Metric: "db_seconds",
	Keys: []string{"db.operation"}, Code: "db.code",
})

// query plays one call of that kind, counted n times.
func query(w *world, n int) {
	_, span := w.tracer("order").Start(context.Background(), "SELECT", trace.WithSpanKind(trace.SpanKindClient))
	span.SetAttributes(attribute.String("db.operation", "SELECT"), attribute.Int("db.code", 0))
	span.End()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "db_seconds", Help: "Queries."}, []string{"db_operation", "db_code"})
	reg := prometheus.NewRegistry()
	reg.MustRegister(h)
	for range n {
		h.WithLabelValues("SELECT", "0").Observe(1)
	}
	w.rec.AddMetrics("order", reg)
}

func TestOtherKindsOfCall(t *testing.T) {
	opts := []telemetrytest.Option{dbCalls, telemetrytest.Only(telemetrytest.CallCount, telemetrytest.CallLine)}
	w := newWorld()
	query(w, 1)
	if got := w.problems(t, opts...); len(got) > 0 {
		t.Errorf("found: %v", got)
	}
	w = newWorld()
	query(w, 2)
	w.request() // of no kind that is asked about
	w.logger("order").Info("listening")
	got := w.problems(t, opts...)
	if len(got) != 2 || got[0].Rule != telemetrytest.CallLine || !strings.Contains(got[1].Message, "query SELECT 0 of order: 2 in db_seconds, and 1 call") {
		t.Errorf("got %v, want a missing line and a call counted twice", got)
	}
}
