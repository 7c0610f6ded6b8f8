// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// retrying makes grpc-go try calls up to four times by itself.
func retrying() grpc.DialOption {
	return grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 4, "initialBackoff": "0.1s", "maxBackoff": "0.1s", "backoffMultiplier": 1,
		"retryableStatusCodes": ["UNAVAILABLE"]}}]}`)
}

// flaky returns a service that refuses the first n calls of any kind.
func flaky(n int) *service {
	refuse := func() error {
		if n--; n >= 0 {
			return status.Error(codes.Unavailable, "not yet")
		}
		return nil
	}
	return &service{
		handle: func(context.Context) error { return refuse() },
		output: func(ss testgrpc.TestService_StreamingOutputCallServer) error {
			if err := refuse(); err != nil {
				return err
			}
			return ss.Send(&testgrpc.StreamingOutputCallResponse{})
		},
		duplex: func(ss testgrpc.TestService_FullDuplexCallServer) error {
			if _, err := ss.Recv(); err != nil {
				return err
			}
			if err := refuse(); err != nil {
				return err
			}
			for {
				if err := ss.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
					return err
				}
				if _, err := ss.Recv(); err != nil {
					return nil
				}
			}
		},
	}
}

// TestRetriedCallIsOneCall: under gRPC's own retries, a call of three attempts
// is one span, one observation and one log line, of what the caller saw.
func TestRetriedCallIsOneCall(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, flaky(2), interceptors.ServerOptions(interceptors.Record(tel.recorder)),
					append(interceptors.DialOptions(interceptors.Record(tel.recorder)), retrying()))
				if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				tel.noneLeft(t)
				tel.idle(t)
				client := tel.one(t, trace.SpanKindClient)
				for _, s := range tel.ended(trace.SpanKindServer) {
					if s.Parent().SpanID() != client.SpanContext().SpanID() {
						t.Errorf("a server span is under %v, want the call %v", s.Parent(), client.SpanContext())
					}
				}
				if n := len(tel.ended(trace.SpanKindServer)); n != 3 {
					t.Errorf("%d server spans, want 3", n)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{"rpc.response.status_code": "OK", "attempts": nil})
				series := tel.family(t, "rpc_client_call_duration_seconds")
				if len(series) != 1 || series[0].GetHistogram().GetSampleCount() != 1 || label(series[0], "rpc_response_status_code") != "OK" {
					t.Errorf("the call's series: %v, want one OK", series)
				}
				if n := len(tel.family(t, "rpc_client_attempt_duration_seconds")); n != 0 {
					t.Errorf("%d series of attempts that nobody asked for", n)
				}
			})
		})
	}
}

// retriers are the ways to retry, with what makes their attempts visible.
var retriers = []struct {
	name    string
	options func(*record.Recorder) []grpc.DialOption
}{
	{"gRPC", func(r *record.Recorder) []grpc.DialOption {
		return append(interceptors.DialOptions(interceptors.Record(r)), retrying(), interceptors.GRPCAttempts(r))
	}},
	{"policies", func(r *record.Recorder) []grpc.DialOption {
		return interceptors.DialOptions(interceptors.Record(r), interceptors.Retry(patient()), interceptors.Attempts(r))
	}},
	{"policies, in layers", func(r *record.Recorder) []grpc.DialOption {
		return interceptors.DialOptions(interceptors.Record(r), interceptors.Retry(patient()), interceptors.ClientFuncs{},
			interceptors.Breaker(newBreaker()), interceptors.ClientFuncs{}, interceptors.Attempts(r))
	}},
}

// patient is a policy that waits between attempts.
func patient() *retry.Policy {
	return retrier(retry.WithBackoff(time.Hour, time.Hour), retry.WithMaxAttempts(4))
}

// TestAttempts: asked for, each attempt is a child of the call's span and the
// parent of the server's, and an observation of its own.
func TestAttempts(t *testing.T) {
	for _, by := range retriers {
		for _, kind := range callKinds {
			t.Run(by.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample())
					server := newTelemetry(t, sdktrace.AlwaysSample())
					cc := serve(t, flaky(2), interceptors.ServerOptions(interceptors.Record(server.recorder)), by.options(tel.recorder))
					if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					tel.noneLeft(t)
					tel.idle(t)
					ended := tel.ended(trace.SpanKindClient)
					if len(ended) != 4 {
						t.Fatalf("%d client spans, want the call's and three attempts", len(ended))
					}
					call, attempts := ended[3], ended[:3] // the call's ends last
					name := "Attempt." + strings.ReplaceAll(kind.method, "/", ".")
					codeNames := []string{"UNAVAILABLE", "UNAVAILABLE", "OK"}
					for i, a := range attempts {
						if a.Name() != name || a.Parent().SpanID() != call.SpanContext().SpanID() {
							t.Errorf("attempt %d: span %q under %v, want %q under the call %v", i, a.Name(), a.Parent(), name, call.SpanContext())
						}
						attrs := attrsOf(a)
						if got := attrs["rpc.response.status_code"].AsString(); got != codeNames[i] {
							t.Errorf("attempt %d: code %q, want %q", i, got, codeNames[i])
						}
						if got := attrs["previous-rpc-attempts"].AsInt64(); got != int64(i) || attrs["transparent-retry"].AsBool() {
							t.Errorf("attempt %d: previous-rpc-attempts = %d, transparent-retry = %v", i, got, attrs["transparent-retry"].AsBool())
						}
						if got := attrs["network.peer.address"].AsString(); got != "bufconn" {
							t.Errorf("attempt %d: network.peer.address = %q", i, got)
						}
						if (a.Status().Description == "not yet") != (codeNames[i] != "OK") {
							t.Errorf("attempt %d: status %v", i, a.Status())
						}
					}
					served := server.ended(trace.SpanKindServer)
					if len(served) != 3 {
						t.Fatalf("%d server spans, want 3", len(served))
					}
					for i, s := range served {
						if s.Parent().SpanID() != attempts[i].SpanContext().SpanID() {
							t.Errorf("server span %d is under %v, want attempt %v", i, s.Parent(), attempts[i].SpanContext())
						}
					}
					checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{
						"rpc.response.status_code": "OK", "attempts": 3.0, "span_id": call.SpanContext().SpanID().String(),
						"duration_ms": float64(call.EndTime().Sub(call.StartTime())) / float64(time.Millisecond),
					})
					if got := call.EndTime().Sub(call.StartTime()); got == 0 {
						t.Error("the call took no time, though it waited between attempts")
					}
					checkAttemptSeries(t, tel, attempts)
				})
			})
		}
	}
}

// checkAttemptSeries holds the metric to the spans of two failed attempts and
// one that went well.
func checkAttemptSeries(t *testing.T, tel *telemetry, attempts []sdktrace.ReadOnlySpan) {
	t.Helper()
	counts := map[string]uint64{}
	for _, m := range tel.family(t, "rpc_client_attempt_duration_seconds") {
		code := label(m, "rpc_response_status_code")
		counts[code] = m.GetHistogram().GetSampleCount()
		if ex := exemplarOf(m); code == "OK" && (ex == nil || !hasLabel(ex, "span_id", attempts[2].SpanContext().SpanID().String())) {
			t.Errorf("exemplar of %s: %v, want attempt %v", code, ex, attempts[2].SpanContext())
		}
	}
	if len(counts) != 2 || counts["UNAVAILABLE"] != 2 || counts["OK"] != 1 {
		t.Errorf("attempts counted: %v, want 2 UNAVAILABLE and 1 OK", counts)
	}
	series := tel.family(t, "rpc_client_call_duration_seconds")
	if len(series) != 1 || series[0].GetHistogram().GetSampleCount() != 1 {
		t.Errorf("the call's series: %v, want one", series)
	}
}

func hasLabel(ex *dto.Exemplar, name, value string) bool {
	return slices.ContainsFunc(ex.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name && l.GetValue() == value })
}

// TestAttemptsKeepToTheRules: no identity to hosts that may not be told, none
// that no tracer knows, and nothing of calls without a record.
func TestAttemptsKeepToTheRules(t *testing.T) {
	for _, tc := range []struct {
		name, target string
		recorded     bool
		sdk          bool
		want         []string // headers sent
	}{
		{name: "internal", target: "passthrough:///inventory", recorded: true, sdk: true, want: []string{"traceparent"}},
		{name: "external", target: "passthrough:///api.example.com", recorded: true, sdk: true},
		{name: "without SDK", target: "passthrough:///inventory", recorded: true, want: []string{"x-trace-id"}},
		{name: "without record", target: "passthrough:///inventory", sdk: true},
	} {
		for _, by := range []string{"gRPC", "policies"} {
			t.Run(tc.name+"/"+by, func(t *testing.T) {
				var opts []record.Option
				if !tc.sdk {
					opts = append(opts, record.WithTracerProvider(noop.NewTracerProvider()))
				}
				tel := newTelemetry(t, sdktrace.AlwaysSample(), opts...)
				var md metadata.MD
				var is []interceptors.ClientInterceptor
				var do []grpc.DialOption
				if tc.recorded {
					is = append(is, interceptors.Record(tel.recorder))
				}
				if by == "gRPC" {
					do = append(do, interceptors.GRPCAttempts(tel.recorder))
				} else {
					is = append(is, interceptors.Attempts(tel.recorder))
				}
				do = append(do, interceptors.DialOptions(is...)...)
				cc := serveAt(t, tc.target, &service{handle: func(ctx context.Context) error {
					md, _ = metadata.FromIncomingContext(ctx)
					return nil
				}}, nil, do)
				if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, key := range []string{"traceparent", "tracestate", "baggage", "x-trace-id"} {
					if len(md.Get(key)) > 0 {
						got = append(got, key)
					}
				}
				if !slices.Equal(got, tc.want) {
					t.Errorf("sent %v, want %v", got, tc.want)
				}
				tel.noneLeft(t)
			})
		}
	}
}

// stateful has a trace state for calls and none for their attempts.
type stateful struct{ sdktrace.Sampler }

func (s stateful) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := s.Sampler.ShouldSample(p)
	r.Tracestate = trace.TraceState{}
	if !strings.HasPrefix(p.Name, "Attempt.") {
		r.Tracestate = must(trace.ParseTraceState("of=the-call"))
	}
	return r
}

// TestAttemptsHaveTheirOwnState: the state that is sent belongs to the span that is.
func TestAttemptsHaveTheirOwnState(t *testing.T) {
	for _, by := range retriers {
		tel := newTelemetry(t, stateful{sdktrace.AlwaysSample()})
		var sent metadata.MD
		cc := serve(t, &service{handle: func(ctx context.Context) error {
			sent, _ = metadata.FromIncomingContext(ctx)
			return nil
		}}, nil, by.options(tel.recorder))
		if err := callUnary(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
			t.Fatal(err)
		}
		if len(sent.Get("traceparent")) != 1 || len(sent.Get("tracestate")) != 0 {
			t.Errorf("%s: sent %v with %v", by.name, sent.Get("traceparent"), sent.Get("tracestate"))
		}
	}
}

// TestTransparentRetryIsNoAttempt: what gRPC repeats because no server has seen
// it is a span, marked, and not counted as an attempt of the call.
func TestTransparentRetryIsNoAttempt(t *testing.T) {
	tel := newTelemetry(t, sdktrace.AlwaysSample())
	call := tel.recorder.StartRPCClient(t.Context(), tel.recorder.RPCClientMethod("/a.B/C", "inventory", 0))
	for _, transparent := range []bool{false, true, true, false} {
		_, a := tel.recorder.StartAttempt(call)
		a.Begin(transparent)
		a.Finish(record.NewRPCStatus(false, 0, 0), "")
	}
	call.FinishRPC(record.NewRPCStatus(false, 0, 0), "")
	var got []string
	for _, s := range tel.ended(trace.SpanKindClient)[:4] {
		attrs := attrsOf(s)
		got = append(got, fmt.Sprint(attrs["previous-rpc-attempts"].AsInt64(), attrs["transparent-retry"].AsBool()))
	}
	if want := []string{"0 false", "1 true", "1 true", "1 false"}; !slices.Equal(got, want) {
		t.Errorf("previous attempts and transparency: %q, want %q", got, want)
	}
	checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{"attempts": 2.0})
}
