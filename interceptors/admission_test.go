// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
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

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
