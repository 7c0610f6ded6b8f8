// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
)

// serverChains are ways to put the same interceptors into a server, which have
// the same effect. ServerFuncs without functions keeps ServerOptions from
// running the first three as one.
var serverChains = []struct {
	name    string
	options func(...interceptors.ServerInterceptor) []grpc.ServerOption
}{
	{"folded", interceptors.ServerOptions},
	{"unfolded", func(is ...interceptors.ServerInterceptor) []grpc.ServerOption {
		return interceptors.ServerOptions(append([]interceptors.ServerInterceptor{interceptors.ServerFuncs{}}, is...)...)
	}},
	{"by hand", func(is ...interceptors.ServerInterceptor) []grpc.ServerOption {
		var opts []grpc.ServerOption
		for _, i := range is {
			opts = append(opts, grpc.ChainUnaryInterceptor(i.UnaryServer()), grpc.ChainStreamInterceptor(i.StreamServer()))
		}
		return opts
	}},
}

// end is how a call ends, and all that has to be said of that.
type end struct {
	name   string
	handle func(context.Context) error

	code                     codes.Code
	codeName                 string // on spans, in the log and in metrics
	message                  string // as the client sees it
	serverError              bool   // the server's span failed, by the semantic conventions
	outcome                  string
	clientOutcome            string // if it is not the same
	serverLevel, clientLevel string
}

func fail(c codes.Code, text string) func(context.Context) error {
	return func(context.Context) error { return status.Error(c, text) }
}

var ends = []end{
	{name: "ok", code: codes.OK, codeName: "OK", outcome: "ok", serverLevel: "INFO", clientLevel: "DEBUG"},
	{name: "not found", handle: fail(codes.NotFound, "no such sku"), code: codes.NotFound, codeName: "NOT_FOUND",
		message: "no such sku", outcome: "client_fault", serverLevel: "INFO", clientLevel: "WARN"},
	{name: "unavailable", handle: fail(codes.Unavailable, "later"), code: codes.Unavailable, codeName: "UNAVAILABLE",
		message: "later", serverError: true, outcome: "transient", serverLevel: "WARN", clientLevel: "WARN"},
	{name: "exhausted", handle: fail(codes.ResourceExhausted, "full"), code: codes.ResourceExhausted, codeName: "RESOURCE_EXHAUSTED",
		message: "full", outcome: "overload", serverLevel: "WARN", clientLevel: "WARN"},
	{name: "unimplemented", handle: fail(codes.Unimplemented, "not here"), code: codes.Unimplemented, codeName: "UNIMPLEMENTED",
		message: "not here", serverError: true, outcome: "client_fault", serverLevel: "INFO", clientLevel: "WARN"},
	{name: "canceled by the handler", handle: fail(codes.Canceled, "stop"), code: codes.Canceled, codeName: "CANCELLED",
		message: "stop", outcome: "canceled", serverLevel: "INFO", clientLevel: "INFO"},
	{name: "an error without status", handle: func(context.Context) error { return errors.New("disk on fire") }, code: codes.Unknown, codeName: "UNKNOWN",
		message: "disk on fire", serverError: true, outcome: "server_fault", serverLevel: "ERROR", clientLevel: "WARN"},
	{name: "a context's error, wrapped", handle: func(context.Context) error { return fmt.Errorf("query: %w", context.DeadlineExceeded) },
		code: codes.DeadlineExceeded, codeName: "DEADLINE_EXCEEDED",
		message: "context deadline exceeded", serverError: true, outcome: "timeout", serverLevel: "WARN", clientLevel: "WARN"},
	{name: "a code of nobody's", handle: fail(codes.Code(42), "what"), code: codes.Code(42), codeName: "_OTHER",
		message: "what", serverError: true, outcome: "server_fault", serverLevel: "ERROR", clientLevel: "WARN"},
	{name: "panic", handle: func(context.Context) error { panic("at 10.0.0.7") }, code: codes.Internal, codeName: "INTERNAL",
		message: "internal error", serverError: true, outcome: "server_fault", serverLevel: "ERROR", clientLevel: "WARN"},
}

// TestCallsAgree: whatever kind of call, however it ends, and however the chain
// was put together, both spans, both log lines, metrics, exemplars and what the
// caller gets say the same.
func TestCallsAgree(t *testing.T) {
	for _, chain := range serverChains {
		for _, kind := range callKinds {
			for _, e := range ends {
				t.Run(chain.name+"/"+kind.name+"/"+e.name, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, &service{handle: e.handle},
						chain.options(interceptors.Record(tel.recorder), interceptors.Recovery()),
						interceptors.DialOptions(interceptors.Record(tel.recorder)))
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := kind.call(ctx, testgrpc.NewTestServiceClient(cc))
					if got := status.Convert(err); got.Code() != e.code || got.Message() != e.message || len(got.Details()) != 0 {
						t.Errorf("the client got %v %q %v, want %v %q and no details", got.Code(), got.Message(), got.Details(), e.code, e.message)
					}
					checkCall(t, tel, kind, e)
				})
			}
		}
	}
}

// checkCall holds the one call that tel has seen on both sides to what it is to say.
func checkCall(t *testing.T, tel *telemetry, kind callKind, e end) {
	t.Helper()
	tel.noneLeft(t)
	tel.idle(t)
	server, client := tel.one(t, trace.SpanKindServer), tel.one(t, trace.SpanKindClient)
	if server.Parent().SpanID() != client.SpanContext().SpanID() || server.SpanContext().TraceID() != client.SpanContext().TraceID() {
		t.Errorf("the server span's parent is %v, want the client span %v", server.Parent(), client.SpanContext())
	}
	if e.clientOutcome == "" {
		e.clientOutcome = e.outcome
	}
	checkSide(t, tel, kind, server, e, side{
		name: "server", failed: e.serverError, outcome: e.outcome, level: e.serverLevel,
		sent: kind.received, sentFailing: kind.receivedFailing, received: kind.sent,
	})
	checkSide(t, tel, kind, client, e, side{
		name: "client", failed: e.code != codes.OK, outcome: e.clientOutcome, level: e.clientLevel,
		sent: kind.sent, sentFailing: kind.sent, received: kind.received, receivedFailing: kind.receivedFailing,
	})
}

// side is what one side of a call is to say of it.
type side struct {
	name, outcome, level      string
	failed                    bool
	sent, sentFailing         float64
	received, receivedFailing float64
}

func checkSide(t *testing.T, tel *telemetry, kind callKind, span sdktrace.ReadOnlySpan, e end, want side) {
	t.Helper()
	errorType, spanStatus, message := "", otelcodes.Unset, ""
	if want.failed {
		errorType, spanStatus, message = e.codeName, otelcodes.Error, e.message
	}
	if e.code != codes.OK {
		want.sent = want.sentFailing
		if want.name == "client" {
			want.received = want.receivedFailing
		}
	}
	if span.Name() != kind.method {
		t.Errorf("%s span is %q, want %q", want.name, span.Name(), kind.method)
	}
	if got := span.Status(); got.Code != spanStatus || got.Description != message {
		t.Errorf("%s span: status %v %q, want %v %q", want.name, got.Code, got.Description, spanStatus, message)
	}
	attrs := attrsOf(span)
	for key, value := range map[string]string{
		"rpc.system.name": "grpc", "rpc.method": kind.method,
		"rpc.response.status_code": e.codeName, "error.type": errorType,
	} {
		if got := attrs[attributeKey(key)].AsString(); got != value {
			t.Errorf("%s span: %s = %q, want %q", want.name, key, got, value)
		}
	}

	duration := span.EndTime().Sub(span.StartTime())
	checkLine(t, tel.logs.withMessage(t, "rpc "+want.name+" call"), map[string]any{
		"level":                    want.level,
		"trace_id":                 span.SpanContext().TraceID().String(),
		"span_id":                  span.SpanContext().SpanID().String(),
		"rpc.method":               kind.method,
		"rpc.response.status_code": e.codeName,
		"error.type":               orNil(errorType),
		"outcome":                  orNil(want.outcome),
		"error":                    orNil(e.message),
		"duration_ms":              float64(duration) / float64(time.Millisecond),
		"messages_sent":            orNil(want.sent),
		"messages_received":        orNil(want.received),
		"peer":                     "bufconn",
	})

	series := tel.family(t, "rpc_"+want.name+"_call_duration_seconds")
	if len(series) != 1 {
		t.Fatalf("%d series of the %s's duration, want 1", len(series), want.name)
	}
	m := series[0]
	for key, value := range map[string]string{
		"rpc_system_name": "grpc", "rpc_method": kind.method,
		"rpc_response_status_code": e.codeName, "error_type": errorType,
	} {
		if got := label(m, key); got != value {
			t.Errorf("%s series: %s = %q, want %q", want.name, key, got, value)
		}
	}
	if n, sum := m.GetHistogram().GetSampleCount(), m.GetHistogram().GetSampleSum(); n != 1 || sum != duration.Seconds() {
		t.Errorf("%s series: %d observations of %v s, want 1 of the span's %v s", want.name, n, sum, duration.Seconds())
	}
	ex := exemplarOf(m)
	if ex == nil {
		t.Fatalf("%s series has no exemplar", want.name)
	}
	if ex.GetValue() != duration.Seconds() {
		t.Errorf("%s exemplar: value %v, want the span's duration %v", want.name, ex.GetValue(), duration.Seconds())
	}
	for _, l := range ex.GetLabel() {
		wanted := map[string]string{
			"trace_id": span.SpanContext().TraceID().String(), "span_id": span.SpanContext().SpanID().String(),
		}[l.GetName()]
		if l.GetValue() != wanted {
			t.Errorf("%s exemplar: %s = %q, want %q", want.name, l.GetName(), l.GetValue(), wanted)
		}
	}
	for direction, n := range map[string]float64{"sent": want.sent, "received": want.received} {
		var got float64
		for _, m := range tel.family(t, "rpc_"+want.name+"_stream_messages_"+direction+"_total") {
			got += m.GetCounter().GetValue()
		}
		if got != n {
			t.Errorf("%s counted %v messages %s, want %v", want.name, got, direction, n)
		}
	}
}

// orNil returns v, or nil for a zero value, which a log line does not have.
func orNil[T comparable](v T) any {
	var zero T
	if v == zero || any(v) == any("ok") {
		return nil
	}
	return v
}

func checkLine(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got := line[key]; got != value {
			t.Errorf("line %q: %s = %v, want %v", line["msg"], key, got, value)
		}
	}
}
