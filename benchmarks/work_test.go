// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

// TestSameWork: every contender but the bare one does all that it is measured for.
func TestSameWork(t *testing.T) {
	for _, c := range contenders[1:] {
		t.Run(c.name, func(t *testing.T) {
			var logs bytes.Buffer
			spans := tracetest.NewSpanRecorder()
			to := newBench(sdktrace.AlwaysSample(), spans, &logs)
			cl, ctx := client(t, c, to), to.caller(t.Context())
			if _, err := cl.UnaryCall(ctx, &testgrpc.SimpleRequest{}); err != nil {
				t.Fatal(err)
			}
			server, client := one(t, spans, trace.SpanKindServer), one(t, spans, trace.SpanKindClient)
			if server.Parent().SpanID() != client.SpanContext().SpanID() {
				t.Error("the server's span is not the child of the client's")
			}
			if id := server.SpanContext().TraceID().String(); strings.Count(logs.String(), id) != 1 {
				t.Errorf("the trace id is in the log %d times, want once: %s", strings.Count(logs.String(), id), logs.String())
			}
			if n := exemplars(t, to); n < 2 {
				t.Errorf("%d exemplars, want one a side", n)
			}
			if _, err := cl.UnaryCall(ctx, &testgrpc.SimpleRequest{FillUsername: true}); status.Code(err) != codes.Internal {
				t.Errorf("a panic is answered %v, want Internal", err)
			}
		})
		t.Run(c.name+" http", func(t *testing.T) {
			var logs bytes.Buffer
			spans := tracetest.NewSpanRecorder()
			to := newBench(sdktrace.AlwaysSample(), spans, &logs)
			h := c.server(to, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			if id := one(t, spans, trace.SpanKindServer).SpanContext().TraceID().String(); !strings.Contains(logs.String(), id) {
				t.Errorf("the trace id is not in the log: %s", logs.String())
			}
			if n := exemplars(t, to); n < 1 {
				t.Error("no exemplar")
			}
		})
	}
}

func one(t *testing.T, r *tracetest.SpanRecorder, kind trace.SpanKind) sdktrace.ReadOnlySpan {
	t.Helper()
	for _, s := range r.Ended() {
		if s.SpanKind() == kind {
			return s
		}
	}
	t.Fatalf("no span of kind %v", kind)
	return nil
}

func exemplars(t *testing.T, b *bench) int {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n += count(m)
		}
	}
	return n
}

func count(m *dto.Metric) int {
	n := 0
	for _, b := range m.GetHistogram().GetBucket() {
		if b.GetExemplar() != nil {
			n++
		}
	}
	return n
}
