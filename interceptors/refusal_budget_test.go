// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// policiesAt returns every policy of a server, with room for one call more or none.
func policiesAt(tb testing.TB, full bool) map[string]interceptors.ServerInterceptor {
	tb.Helper()
	rates := newLimiter(tb, 1e9, 1e9)
	slots, shedder := newConcurrency(tb, 1), newShedder(tb, 1, shed.WithRetryAfter(shed.DefaultRetryAfter))
	keyed, err := ratelimit.NewKeyed("clients", 1e9, 1e9)
	if full {
		rates = newLimiter(tb, 1e-9, 1)
		_ = rates.Allow(tb.Context())
		if permit, err := slots.Allow(tb.Context()); err == nil {
			tb.Cleanup(permit.Done)
		}
		if lease, err := shedder.Allow(tb.Context(), shed.PriorityNormal); err == nil {
			tb.Cleanup(lease.Release)
		}
		keyed, err = ratelimit.NewKeyed("clients", 1e-9, 1)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]interceptors.ServerInterceptor{
		"RateLimit": interceptors.RateLimit(rates), "KeyedRateLimit": interceptors.KeyedRateLimit(keyed, nil),
		"Concurrency": interceptors.Concurrency(slots), "Shed": interceptors.Shed(shedder),
	}
}

// sink is the transport of a call that nobody waits for.
type sink struct{}

func (sink) Method() string               { return "/grpc.testing.TestService/UnaryCall" }
func (sink) SetHeader(metadata.MD) error  { return nil }
func (sink) SendHeader(metadata.MD) error { return nil }
func (sink) SetTrailer(metadata.MD) error { return nil }

// served returns a function that serves one call with i, as far as grpc-go would, and
// says whether it was admitted.
func served(i interceptors.ServerInterceptor, rec *interceptors.Recording) func() bool {
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), sink{})
	info := &grpc.UnaryServerInfo{FullMethod: sink{}.Method()}
	reply := &testgrpc.SimpleResponse{}
	var admitted bool
	handler := func(context.Context, any) (any, error) { admitted = true; return reply, nil }
	policy := i.UnaryServer()
	inner := func(ctx context.Context, req any) (any, error) { return policy(ctx, req, info, handler) }
	serve := inner
	if rec != nil {
		record := rec.UnaryServer()
		serve = func(ctx context.Context, req any) (any, error) { return record(ctx, req, info, inner) }
	}
	return func() bool {
		admitted = false
		_, err := serve(ctx, nil)
		_ = status.Convert(err)
		return admitted
	}
}

// TestRefusalBudget: admitting a call costs nothing, but for the name of the peer, and
// refusing one little: the status with its two details, the trailer, the error. Under a
// record there are the two ids, and what the log says more.
func TestRefusalBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name := range policiesAt(t, false) {
		for _, tc := range []struct {
			name              string
			rec               *interceptors.Recording
			accepted, refused float64
		}{
			{"alone", nil, 1, 20},
			{"recorded", interceptors.Record(stack(t, sdktrace.NeverSample())), 9, 30},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				accept, refuse := served(policiesAt(t, false)[name], tc.rec), served(policiesAt(t, true)[name], tc.rec)
				if refuse(); !accept() || refuse() {
					t.Fatal("the policies do not do what they are to do")
				}
				accepted := testing.AllocsPerRun(1000, func() { accept() })
				refused := testing.AllocsPerRun(1000, func() { refuse() })
				t.Logf("%.0f allocations for a call admitted, %.0f for one refused", accepted, refused)
				if accepted > tc.accepted || refused > tc.refused {
					t.Errorf("budgets: %.0f admitted, %.0f refused", tc.accepted, tc.refused)
				}
			})
		}
	}
}

// BenchmarkAdmission is for a call that does nothing, client and server together, and
// for the server's part of it without gRPC.
func BenchmarkAdmission(b *testing.B) {
	rec := interceptors.Record(stack(b, sdktrace.NeverSample()))
	for _, full := range []bool{false, true} {
		name := map[bool]string{false: "admitted", true: "refused"}[full]
		b.Run("shed/"+name+"/server alone", func(b *testing.B) {
			do := served(policiesAt(b, full)["Shed"], rec)
			b.ReportAllocs()
			for b.Loop() {
				if do() == full {
					b.Fatal("wrong")
				}
			}
		})
		b.Run("shed/"+name+"/both", func(b *testing.B) {
			client := testgrpc.NewTestServiceClient(serve(b, &service{}, interceptors.ServerOptions(rec, interceptors.Recovery(), policiesAt(b, full)["Shed"]), nil))
			b.ReportAllocs()
			for b.Loop() {
				if err := callUnary(b.Context(), client); (err != nil) != full {
					b.Fatal(err)
				}
			}
		})
	}
}
