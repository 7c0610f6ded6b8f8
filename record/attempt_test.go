// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

var (
	clientOK          = record.NewRPCStatus(false, 0, resilience.OutcomeOK)
	clientUnavailable = record.NewRPCStatus(false, 14, resilience.OutcomeTransient)
	http200           = record.NewHTTPStatus(false, 200, resilience.OutcomeOK)
	http503           = record.NewHTTPStatus(false, 503, resilience.OutcomeTransient)
)

// clientKind is a kind of client call, with what adapters do for it.
type clientKind struct {
	name          string
	start         func(*testing.T, *bench, context.Context) *record.Call
	fail, succeed func(*record.Attempt)
	finish        func(c *record.Call, ok bool)
	attemptName   string
	attemptMetric string
	message       string
}

var clientKinds = []clientKind{
	{
		name: "rpc",
		start: func(_ *testing.T, b *bench, ctx context.Context) *record.Call {
			return b.StartRPCClient(ctx, b.RPCClientMethod("/shop.Stock/Reserve", "dns:///stock:443", metrics.Unary))
		},
		fail:    func(a *record.Attempt) { a.Finish(clientUnavailable, "not yet") },
		succeed: func(a *record.Attempt) { a.Finish(clientOK, "") },
		finish: func(c *record.Call, ok bool) {
			if ok {
				c.FinishRPC(clientOK, "")
				return
			}
			c.FinishRPC(clientUnavailable, "not yet")
		},
		attemptName:   "Attempt.shop.Stock.Reserve",
		attemptMetric: "rpc_client_attempt_duration_seconds",
		message:       record.MessageRPCClient,
	},
	{
		name: "http",
		start: func(t *testing.T, b *bench, ctx context.Context) *record.Call {
			t.Helper()
			req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://stock/items/7?token=secret", nil)
			if err != nil {
				t.Fatal(err)
			}
			return b.StartHTTPClient(req, "stock")
		},
		fail:    func(a *record.Attempt) { a.FinishHTTP(http503, "not yet") },
		succeed: func(a *record.Attempt) { a.FinishHTTP(http200, "") },
		finish: func(c *record.Call, ok bool) {
			if ok {
				c.FinishHTTPClient(http200, "")
				return
			}
			c.FinishHTTPClient(http503, "not yet")
		},
		attemptName:   "PUT",
		attemptMetric: "http_client_attempt_duration_seconds",
		message:       record.MessageHTTPClient,
	},
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]any {
	out := map[string]any{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.AsInterface()
	}
	return out
}

// TestAttempts: each try of a recorded call is a child of its span, says which
// one it was, and is an observation of its own; the line says how many there were.
func TestAttempts(t *testing.T) {
	for _, kind := range clientKinds {
		t.Run(kind.name, func(t *testing.T) {
			b := newBench(t)
			call := kind.start(t, b, t.Context())
			for n := range 3 {
				ctx, a := b.StartAttempt(context.WithValue(call, struct{}{}, n))
				if sc := trace.SpanContextFromContext(ctx); sc.SpanID() == call.SpanContext().SpanID() || sc.TraceID() != call.SpanContext().TraceID() {
					t.Errorf("the attempt's identity is %v, in a call with %v", sc, call.SpanContext())
				}
				if record.FromContext(ctx) != call {
					t.Error("the call is not found in its attempt")
				}
				a.Begin(false)
				if n < 2 {
					kind.fail(a)
				} else {
					kind.succeed(a)
				}
				kind.fail(a) // the second finish counts for nothing
			}
			if got := call.Attempts(); got != 3 {
				t.Errorf("Attempts() = %d, want 3", got)
			}
			kind.finish(call, true)

			spans := b.spans.Ended()
			if len(spans) != 4 {
				t.Fatalf("%d spans, want three attempts and the call", len(spans))
			}
			for n, s := range spans[:3] {
				if s.Parent().SpanID() != call.SpanContext().SpanID() || s.Name() != kind.attemptName || s.SpanKind() != trace.SpanKindClient {
					t.Errorf("attempt %d is the %v span %q under %v", n, s.SpanKind(), s.Name(), s.Parent().SpanID())
				}
				if failed := s.Status().Code == codes.Error; failed != (n < 2) || failed && s.Status().Description != "not yet" {
					t.Errorf("attempt %d has status %v", n, s.Status())
				}
				var want map[string]any
				if kind.name == "rpc" {
					want = map[string]any{
						"previous-rpc-attempts": int64(n), "transparent-retry": false,
						"rpc.method": "shop.Stock/Reserve", "rpc.system.name": "grpc",
						"server.address": "stock", "server.port": int64(443),
						"rpc.response.status_code": "UNAVAILABLE", "error.type": "UNAVAILABLE",
					}
					if n == 2 {
						want["rpc.response.status_code"] = "OK"
						delete(want, "error.type")
					}
				} else {
					want = map[string]any{
						"fairlead.attempt": int64(n + 1), "http.request.resend_count": int64(n), "http.request.method": "PUT",
						"server.address": "stock", "server.port": int64(80), "url.full": "http://stock/items/7",
						"http.response.status_code": int64(503), "error.type": "503",
					}
					if n == 0 {
						delete(want, "http.request.resend_count")
					}
					if n == 2 {
						want["http.response.status_code"] = int64(200)
						delete(want, "error.type")
					}
				}
				if diff := cmp.Diff(want, attributesOf(s)); diff != "" {
					t.Errorf("attempt %d (-want +got):\n%s", n, diff)
				}
			}
			if _, n := b.observations(t, kind.attemptMetric); n != 3 {
				t.Errorf("%d observations of attempts, want 3", n)
			}
			if line := b.lines(t)[0]; line["attempts"] != 3.0 || line["msg"] != kind.message {
				t.Errorf("line %v, want attempts 3", line)
			}
		})
	}
}

// TestAttemptsOfUnrecordedCalls: without a recorded span, attempts are counted
// and measured, and nothing else changes.
func TestAttemptsOfUnrecordedCalls(t *testing.T) {
	for _, kind := range clientKinds {
		t.Run(kind.name, func(t *testing.T) {
			b := newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))))
			call := kind.start(t, b, t.Context())
			for range 2 {
				ctx, a := b.StartAttempt(call)
				if ctx != context.Context(call) {
					t.Error("the attempt has a context of its own")
				}
				a.Begin(false)
				a.SetPeer(nil)
				if out := a.Outgoing(); !cmp.Equal(out, record.Outgoing{}) {
					t.Errorf("Outgoing() = %+v, want nothing: the call's headers are right", out)
				}
				a.Inject(func() ctxutil.Carrier { t.Error("a carrier was asked for"); return ctxutil.HTTPCarrier(http.Header{}) })
				kind.fail(a)
			}
			kind.finish(call, false)
			if _, n := b.observations(t, kind.attemptMetric); n != 2 {
				t.Errorf("%d observations of attempts, want 2", n)
			}
			if line := b.lines(t)[0]; line["attempts"] != 2.0 {
				t.Errorf("line %v, want attempts 2", line)
			}
		})
	}
}

// TestSingleAttempt: a call that was tried once has no attempts on its line.
func TestSingleAttempt(t *testing.T) {
	for _, kind := range clientKinds {
		b := newBench(t)
		call := kind.start(t, b, t.Context())
		_, a := b.StartAttempt(call)
		a.Begin(false)
		a.Begin(true) // transparently, which the server has not seen
		kind.succeed(a)
		kind.finish(call, true)
		if n, there := b.lines(t)[0]["attempts"]; there || call.Attempts() != 1 {
			t.Errorf("%s: the line says %v attempts, and the call %d; want 1", kind.name, n, call.Attempts())
		}
	}
}

// TestHedgedAttempts: attempts may be under way at the same time.
func TestHedgedAttempts(t *testing.T) {
	for _, kind := range clientKinds {
		b := newBench(t)
		call := kind.start(t, b, t.Context())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, a := call.StartAttempt(call)
				a.Begin(false)
				_ = a.Outgoing()
				wg.Go(func() { kind.fail(a) })
				kind.succeed(a)
			})
		}
		wg.Wait()
		kind.finish(call, true)
		previous := map[int64]bool{}
		for _, s := range b.spans.Ended()[:8] {
			n, _ := attributesOf(s)["previous-rpc-attempts"].(int64)
			if kind.name == "http" {
				n, _ = attributesOf(s)["http.request.resend_count"].(int64)
			}
			previous[n] = true
		}
		if _, n := b.observations(t, kind.attemptMetric); len(previous) != 8 || call.Attempts() != 8 || n != 8 {
			t.Errorf("%s: %d attempts, %d observations, numbers %v; want 8, each with its own", kind.name, call.Attempts(), n, previous)
		}
	}
}

// ownFormat is a propagator beyond W3C's.
type ownFormat struct{ propagation.TraceContext }

func (ownFormat) Inject(ctx context.Context, c propagation.TextMapCarrier) {
	c.Set("x-own", trace.SpanContextFromContext(ctx).SpanID().String())
}

func (ownFormat) Fields() []string { return []string{"traceparent", "x-own"} }

// TestAttemptIdentity: attempts go out with their own identity in place of the
// call's, in all formats, to hosts that may be told.
func TestAttemptIdentity(t *testing.T) {
	for target, told := range map[string]bool{"dns:///stock:443": true, "dns:///api.example.com:443": false} {
		b := newBench(t, record.WithPropagator(ownFormat{}))
		call := b.StartRPCClient(t.Context(), b.RPCClientMethod("/a.B/C", target, metrics.Unary))
		ctx, a := b.StartAttempt(call)
		sc := trace.SpanContextFromContext(ctx)
		want := record.Outgoing{}
		if told {
			want.Traceparent = "00-" + call.TraceID() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
		}
		if diff := cmp.Diff(want, a.Outgoing()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
		h := http.Header{}
		a.Inject(func() ctxutil.Carrier { return ctxutil.HTTPCarrier(h) })
		if got := h.Get("x-own"); told != (got == sc.SpanID().String()) || told != (got != "") {
			t.Errorf("%s was told %q in its own format", target, got)
		}
		a.Finish(clientOK, "")
		call.FinishRPC(clientOK, "")
	}
}

// TestNoAttempt where there is no client's call of the Recorder.
func TestNoAttempt(t *testing.T) {
	b, other := newBench(t), newBench(t)
	server := b.StartRPCServer(t.Context(), b.RPCServerMethod("/a.B/C", metrics.Unary), record.Incoming{}, nil, nil)
	client := other.StartRPCClient(server, other.RPCClientMethod("/a.B/C", "stock", metrics.Unary))
	for name, ctx := range map[string]context.Context{"no call": t.Context(), "server's": server, "another's": client} {
		if got, a := b.StartAttempt(ctx); a != nil || got != ctx {
			t.Errorf("%s: an attempt was begun", name)
		}
	}
}

// TestAttemptCost: what retries are measured with must not cost what they save.
func TestAttemptCost(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, kind := range clientKinds {
		b := newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))))
		call := kind.start(t, b, t.Context())
		got := testing.AllocsPerRun(100, func() {
			_, a := b.StartAttempt(call)
			a.Begin(false)
			if a.Outgoing().Traceparent == "" {
				kind.succeed(a)
			}
		})
		if got > 1 {
			t.Errorf("%s: an attempt that nobody records costs %v allocations, budget 1", kind.name, got)
		}
	}
}

// TestEvent: a recorded span gets it, and nobody else pays for it.
func TestEvent(t *testing.T) {
	b := newBench(t)
	call := clientKinds[0].start(t, b, t.Context())
	if !call.Recording() {
		t.Fatal("the call is not recorded")
	}
	call.Event("chosen", attribute.String("instance", "stock-3"))
	call.FinishRPC(clientOK, "")
	call.Event("late")
	if got := b.spans.Ended()[0].Events(); len(got) != 1 || got[0].Name != "chosen" || got[0].Attributes[0].Value.AsString() != "stock-3" {
		t.Errorf("events %v, want the one before the end", got)
	}

	b = newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))))
	call = clientKinds[0].start(t, b, t.Context())
	if call.Recording() {
		t.Error("a call that is not sampled says that it is recorded")
	}
	if got := testing.AllocsPerRun(100, func() { call.Event("nothing") }); got != 0 && !raceEnabled {
		t.Errorf("an event without a span costs %v allocations", got)
	}
}
