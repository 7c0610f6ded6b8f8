// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// admission is the chains that a policy stands in: with a record, and on its own.
func admission(tel *telemetry, i interceptors.ServerInterceptor) map[string][]grpc.ServerOption {
	return map[string][]grpc.ServerOption{
		"recorded": interceptors.ServerOptions(interceptors.Record(tel.recorder), interceptors.Recovery(), i),
		"alone":    interceptors.ServerOptions(i),
		"by hand":  {grpc.ChainUnaryInterceptor(i.UnaryServer()), grpc.ChainStreamInterceptor(i.StreamServer())},
	}
}

// noSlots refuses every call.
type noSlots struct{}

func (noSlots) Allow(context.Context) (ratelimit.Permit, error) {
	return ratelimit.Permit{}, &resilience.RejectedError{Policy: resilience.PolicyConcurrency}
}

// serveHealth serves gRPC's health service besides the test's.
func serveHealth(t *testing.T, so []grpc.ServerOption) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	s := grpc.NewServer(so...)
	testgrpc.RegisterTestServiceServer(s, &service{})
	healthgrpc.RegisterHealthServer(s, health.NewServer())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(lis) })
	cc, err := grpc.NewClient("passthrough:///inventory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close(); s.Stop(); wg.Wait() })
	return cc
}

// TestOnePushback: whoever stands in the chain, the peer is told once: two values would
// ask it not to retry.
func TestOnePushback(t *testing.T) {
	inVain := &resilience.AttemptsError{Attempts: 3, Reason: retry.ReasonExhausted, Last: &resilience.RejectedError{
		Policy: resilience.PolicyShed, RetryAfter: time.Second, Remote: true,
	}}
	refusing := limiterFunc(func(context.Context) error {
		return &resilience.RejectedError{Policy: resilience.PolicyRateLimit, RetryAfter: time.Second}
	})
	admitting := limiterFunc(func(context.Context) error { return nil })
	for _, tc := range []struct {
		name  string
		inner interceptors.RateLimiter
		want  string
	}{
		{"refused", refusing, "1000"},
		{"retried in vain", admitting, "-1"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.name+"/"+kind.name, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				cc := serve(t, failing(fmt.Errorf("x: %w", inVain)), interceptors.ServerOptions(
					interceptors.Record(tel.recorder), interceptors.Recovery(), interceptors.RateLimit(admitting), interceptors.Shed(newShedder(t, 10)),
					interceptors.RateLimit(tc.inner)), nil)
				var trailer metadata.MD
				_ = kind.call(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer))
				if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != tc.want {
					t.Errorf("told %q, want %s once", got, tc.want)
				}
			})
		}
	}
	t.Run("without a record", func(t *testing.T) {
		cc := serve(t, &service{}, interceptors.ServerOptions(interceptors.RateLimit(admitting), interceptors.RateLimit(refusing)), nil)
		var trailer metadata.MD
		_ = callUnary(t.Context(), testgrpc.NewTestServiceClient(cc), grpc.Trailer(&trailer))
		if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "1000" {
			t.Errorf("told %q, want 1000 once", got)
		}
	})
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
