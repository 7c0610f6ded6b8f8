// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// everything is a service with retry, breaker, rate limit and bulkhead.
func everything() *interceptors.Policing {
	return interceptors.Policies(servicePolicies(
		policies.Retry(), policies.Breaker(), policies.RateLimit(1e9, 1e9), policies.Bulkhead(1000)))
}

// TestPoliciesAllocationBudget holds all policies together to their budget over a call
// without, on a real connection: one for the call and its attempts, one of the breaker's,
// and what grpc-go takes to tell us the trailer, which is one more.
func TestPoliciesAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := unaryAllocs(t, testgrpc.NewTestServiceClient(serveTCP(t, &service{}, nil, nil)))
	for _, tc := range []struct {
		name   string
		layers []interceptors.ClientInterceptor
		budget float64
	}{
		{"retry, breaker, rate limit and bulkhead", []interceptors.ClientInterceptor{everything()}, 5},
		{"one by one", []interceptors.ClientInterceptor{
			interceptors.Retry(must(retry.New("inventory"))), interceptors.Breaker(newBreaker()),
			interceptors.RateLimited(must(ratelimit.New("inventory", 1e9, 1e9))), interceptors.Bulkhead(newBulkhead(1000)),
		}, 5},
		{"without any", []interceptors.ClientInterceptor{interceptors.Policies(servicePolicies())}, 1},
	} {
		cc := serveTCP(t, &service{}, nil, interceptors.DialOptions(tc.layers...))
		got := unaryAllocs(t, testgrpc.NewTestServiceClient(cc)) - bare
		t.Logf("%s: %.1f allocations a call over bare's %.0f", tc.name, got, bare)
		if got > tc.budget {
			t.Errorf("%s: %.1f allocations a call over bare, budget %.0f", tc.name, got, tc.budget)
		}
	}
}

// TestPoliciesOwnAllocations counts what is ours alone: the call with its attempts, and
// one of the breaker's.
func TestPoliciesOwnAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	cc := serveTCP(t, &service{}, nil, nil)
	call, ctx := everything().UnaryClient(), context.Background()
	req, reply := &testgrpc.SimpleRequest{}, &testgrpc.SimpleResponse{}
	send := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	got := testing.AllocsPerRun(1000, func() {
		if err := call(ctx, unaryMethod, req, reply, cc, send); err != nil {
			t.Fatal(err)
		}
	})
	if got > 2 {
		t.Errorf("%.0f allocations a call, want 2", got)
	}
	var trailer metadata.MD
	withOption := []grpc.CallOption{grpc.Trailer(&trailer)}
	got = testing.AllocsPerRun(1000, func() { _ = call(ctx, unaryMethod, req, reply, cc, send, withOption...) })
	if got > 2 {
		t.Errorf("%.0f allocations a call with an option, want 2", got)
	}
}

// TestPoliciesStreamAllocationBudget: a message on a stream costs nothing more, and to
// open one little.
func TestPoliciesStreamAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := testing.AllocsPerRun(2000, pingPong(t, dial(t, &service{}))) / 2
	got := testing.AllocsPerRun(2000, pingPong(t, dial(t, &service{}, everything()))) / 2
	t.Logf("%.1f allocations a message over bare's %.1f", got-bare, bare)
	if got-bare > 1 {
		t.Errorf("%.1f allocations a message over bare, budget 1", got-bare)
	}

	open := func(i *interceptors.Policing) float64 {
		cc, desc, ctx := serve(t, &service{}, nil, nil), &grpc.StreamDesc{ServerStreams: true}, context.Background()
		stream := i.StreamClient()
		return testing.AllocsPerRun(1000, func() {
			_, _ = stream(ctx, desc, cc, unaryMethod, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
				return nil, nil //nolint:nilnil // nobody uses it
			})
		})
	}
	for _, tc := range []struct {
		name   string
		i      *interceptors.Policing
		budget float64
	}{{"all policies", everything(), 4}, {"without any", interceptors.Policies(servicePolicies()), 0}} {
		if got := open(tc.i); got > tc.budget {
			t.Errorf("%s: %.0f allocations to open a stream, want %.0f", tc.name, got, tc.budget)
		}
	}
}

// BenchmarkPolicies compares a call under all policies with a bare one, over loopback, and
// a stream from its start to its end.
func BenchmarkPolicies(b *testing.B) {
	for _, c := range []struct {
		name   string
		layers []interceptors.ClientInterceptor
	}{{"bare", nil}, {"policies", []interceptors.ClientInterceptor{everything()}}} {
		client := testgrpc.NewTestServiceClient(serveTCP(b, &service{}, nil, interceptors.DialOptions(c.layers...)))
		b.Run("stream/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := callDuplex(b.Context(), client); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("unary/"+c.name, func(b *testing.B) {
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

// BenchmarkPoliciesAlone is for what is ours of such a call.
func BenchmarkPoliciesAlone(b *testing.B) {
	cc := serveTCP(b, &service{}, nil, nil)
	call, ctx := everything().UnaryClient(), context.Background()
	req, reply := &testgrpc.SimpleRequest{}, &testgrpc.SimpleResponse{}
	send := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := call(ctx, unaryMethod, req, reply, cc, send); err != nil {
			b.Fatal(err)
		}
	}
}
