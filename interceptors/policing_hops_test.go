// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestRetriesDoNotMultiply: of two hops that both retry, one does. A hop that has retried
// in vain tells its caller not to, and one that is being retried does not retry in turn;
// with and without a record on the clients.
func TestRetriesDoNotMultiply(t *testing.T) {
	for _, tc := range []struct {
		name   string
		inner  []step // of the last hop
		outer  []step // of the hop between, before it calls on
		nested bool
		want   []string // previous attempts, as the last hop sees them
		code   codes.Code
	}{
		{name: "the last hop fails", inner: slices.Repeat([]step{fails(codes.Unavailable)}, 99),
			want: []string{"", "1", "2"}, code: codes.Unavailable},
		{name: "the hop between fails first", inner: slices.Repeat([]step{fails(codes.Unavailable)}, 99), outer: []step{fails(codes.Unavailable)},
			want: []string{"1", "2"}, code: codes.Unavailable},
		{name: "and is told to retry all the same", inner: slices.Repeat([]step{fails(codes.Unavailable)}, 99), outer: []step{fails(codes.Unavailable)},
			nested: true, want: []string{"1", "2", "3"}, code: codes.Unavailable},
		{name: "the last hop comes back", inner: []step{fails(codes.Unavailable)}, outer: []step{fails(codes.Unavailable)},
			want: []string{"1", "2"}},
	} {
		for _, recorded := range []bool{false, true} {
			for _, kind := range callKinds {
				t.Run(fmt.Sprintf("%s/recorded %v/%s", tc.name, recorded, kind.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						tel := newTelemetry(t, neverSample)
						record := interceptors.ServerOptions(interceptors.Record(tel.recorder))
						chain := func(p *retry.Policy) []interceptors.ClientInterceptor {
							if recorded {
								return []interceptors.ClientInterceptor{interceptors.Record(tel.recorder), interceptors.Retry(p), interceptors.Attempts(tel.recorder)}
							}
							return []interceptors.ClientInterceptor{interceptors.Retry(p)}
						}
						last := newScript(tc.inner...)
						var options []retry.Option
						if tc.nested {
							options = append(options, retry.WithNestedRetries())
						}
						inner := testgrpc.NewTestServiceClient(serve(t, last.service(), record, interceptors.DialOptions(chain(retrier(options...))...)))
						on := func(ctx context.Context) error { return kind.call(ctx, inner) }
						between := newScript(append(slices.Clone(tc.outer), on, on, on)...)
						outer := testgrpc.NewTestServiceClient(serveAt(t, "passthrough:///order", between.service(), record, interceptors.DialOptions(chain(retrier())...)))
						if err := kind.call(t.Context(), outer); status.Code(err) != tc.code {
							t.Errorf("ended with %v, want %v", err, tc.code)
						}
						if got := last.previous(); !slices.Equal(got, tc.want) {
							t.Errorf("the last hop saw previous attempts %q, want %q", got, tc.want)
						}
					})
				})
			}
		}
	}
}

// TestRefusalsCrossHops: the refusal of a policy between two hops is known as one by the
// caller of the first, and does not count against that.
func TestRefusalsCrossHops(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, neverSample)
				record := interceptors.ServerOptions(interceptors.Record(tel.recorder))
				b := newBreaker()
				trip(t, b)
				inner := testgrpc.NewTestServiceClient(serve(t, &service{}, record, interceptors.DialOptions(interceptors.Policies(servicePolicies()), interceptors.Breaker(b))))
				between := newScript(slices.Repeat([]step{func(ctx context.Context) error { return kind.call(ctx, inner) }}, 9)...)
				mine := newBreaker(breaker.WithMinCalls(1))
				outer := testgrpc.NewTestServiceClient(serveAt(t, "passthrough:///order", between.service(), record,
					interceptors.DialOptions(interceptors.Breaker(mine))))
				err := kind.call(t.Context(), outer)
				checkRemote(t, err, resilience.ErrOpen, codes.Unavailable)
				// Order answers, and may well answer calls that need nobody else.
				if got := mine.Snapshot(); got.State != resilience.StateClosed || got.Failures != 0 {
					t.Errorf("%v with %d failures, want closed: it was not order that failed", got.State, got.Failures)
				}
			})
		})
	}
}

func checkRemote(t *testing.T, err, is error, code codes.Code) {
	t.Helper()
	e, ok := errors.AsType[*resilience.RejectedError](err)
	if !ok || !errors.Is(err, is) || !e.Remote || e.Name != "order" || status.Code(err) != code {
		t.Errorf("%v (%#v), want a refusal by order that is %v", err, e, is)
	}
}
