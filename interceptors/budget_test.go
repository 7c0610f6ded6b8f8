// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
)

// stack is the whole fused stack with a real SDK whose spans go nowhere.
func stack(tb testing.TB, sampler sdktrace.Sampler) *record.Recorder {
	tb.Helper()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(discard{}))
	set, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	rec, err := record.New(
		record.WithTracerProvider(provider),
		record.WithMetrics(set),
		record.WithLogger(slog.New(logging.NewHandler(slog.NewJSONHandler(io.Discard, nil)))))
	if err != nil {
		tb.Fatal(err)
	}
	return rec
}

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

func bareClient(tb testing.TB) testgrpc.TestServiceClient {
	return testgrpc.NewTestServiceClient(serve(tb, &service{}, nil, nil))
}

func fusedClient(tb testing.TB, sampler sdktrace.Sampler) testgrpc.TestServiceClient {
	rec := stack(tb, sampler)
	return testgrpc.NewTestServiceClient(serve(tb, &service{},
		interceptors.ServerOptions(interceptors.Record(rec), interceptors.Recovery()),
		interceptors.DialOptions(interceptors.Record(rec))))
}

func unaryAllocs(tb testing.TB, client testgrpc.TestServiceClient) float64 {
	req := &testgrpc.SimpleRequest{}
	return testing.AllocsPerRun(2000, func() {
		if _, err := client.UnaryCall(context.Background(), req); err != nil {
			tb.Fatal(err)
		}
	})
}

// TestAllocationBudget holds the fused stack to its budget over bare grpc-go:
// client and server together, a span on both sides, request log, metrics with
// exemplars, recovery.
func TestAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := unaryAllocs(t, bareClient(t))
	for _, tc := range []struct {
		name    string
		sampler sdktrace.Sampler
		budget  float64
	}{
		{"sampled", sdktrace.AlwaysSample(), 70},
		{"unsampled", sdktrace.NeverSample(), 35},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := unaryAllocs(t, fusedClient(t, tc.sampler)) - bare
			t.Logf("%.0f allocations a call over bare's %.0f", got, bare)
			if got > tc.budget {
				t.Errorf("%.0f allocations a call over bare, budget %.0f", got, tc.budget)
			}
		})
	}
}

// contenders are the stacks that are compared.
var contenders = []struct {
	name   string
	client func(testing.TB) testgrpc.TestServiceClient
}{
	{"bare", bareClient},
	{"sampled", func(tb testing.TB) testgrpc.TestServiceClient { return fusedClient(tb, sdktrace.AlwaysSample()) }},
	{"unsampled", func(tb testing.TB) testgrpc.TestServiceClient { return fusedClient(tb, sdktrace.NeverSample()) }},
}

// pingPong returns a function that sends a message over a stream and receives
// another.
func pingPong(tb testing.TB, client testgrpc.TestServiceClient) func() {
	tb.Helper()
	cs, err := client.FullDuplexCall(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	req, resp := &testgrpc.StreamingOutputCallRequest{}, &testgrpc.StreamingOutputCallResponse{}
	return func() {
		if err := cs.SendMsg(req); err != nil {
			tb.Fatal(err)
		}
		if err := cs.RecvMsg(resp); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestStreamAllocationBudget: a message costs at most two allocations more than
// without a record, client and server together. It should be none; two leave
// grpc-go room for noise.
func TestStreamAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var bare float64
	for _, c := range contenders {
		got := testing.AllocsPerRun(2000, pingPong(t, c.client(t))) / 2 // messages
		if c.name == "bare" {
			bare = got
			continue
		}
		t.Logf("%s: %.1f allocations a message over bare's %.1f", c.name, got-bare, bare)
		if got-bare > 2 {
			t.Errorf("%s: %.1f allocations a message over bare, budget 2", c.name, got-bare)
		}
	}
}

func BenchmarkUnary(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			client := c.client(b)
			req := &testgrpc.SimpleRequest{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.UnaryCall(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnaryParallel(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			client := c.client(b)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := callUnary(b.Context(), client); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkStreamMessages is for one message there and one back.
func BenchmarkStreamMessages(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			do := pingPong(b, c.client(b))
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}

// BenchmarkStream is for a stream of two messages each way, from its start to
// its end.
func BenchmarkStream(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			client := c.client(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := callDuplex(b.Context(), client); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPayloadLogCostsNothingWhileOff: no allocation for messages nobody wants.
func TestPayloadLogCostsNothingWhileOff(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	off := interceptors.PayloadLog(slog.New(logging.NewHandler(slog.NewJSONHandler(io.Discard, nil))))
	next := func(context.Context, any) (any, error) { return nil, nil }
	info, serve := &grpc.UnaryServerInfo{FullMethod: "/a.B/C"}, off.UnaryServer()
	ctx, req := t.Context(), any(&testgrpc.Empty{})
	if n := testing.AllocsPerRun(100, func() { _, _ = serve(ctx, req, info, next) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
