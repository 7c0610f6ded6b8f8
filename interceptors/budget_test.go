// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/prometheus/client_golang/prometheus"
	"io"
	"log/slog"

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

func BenchmarkUnary(b *testing.B) {
	for _, bc := range []struct {
		name   string
		client func(testing.TB) testgrpc.TestServiceClient
	}{
		{"bare", bareClient},
		{"sampled", func(tb testing.TB) testgrpc.TestServiceClient { return fusedClient(tb, sdktrace.AlwaysSample()) }},
		{"unsampled", func(tb testing.TB) testgrpc.TestServiceClient { return fusedClient(tb, sdktrace.NeverSample()) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			client := bc.client(b)
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
