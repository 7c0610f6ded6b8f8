// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/logging"
	"github.com/fairlead-go/fairlead/metrics"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/hedge"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// TestPolicingChainOrder pins where policies stand: a retry below record and deadline,
// each attempt through all that is below the retry. Of streams the marks see the opening.
func TestPolicingChainOrder(t *testing.T) {
	for _, tc := range []struct{ chain, unary, stream string }{
		{
			"1r2d3R4BLK5A6",
			"1() 2(r) 3(rd) 4(rd) 5(rd) 6(rd) 6:Unavailable 5:Unavailable 4:Unavailable 4(rd) 5(rd) 6(rd) 6:OK 5:OK 4:OK 3:OK 2:OK 1:OK",
			"1() 2(r) 3(rd) 4(rd) 5(rd) 6(rd) 6:OK 5:OK 4:OK 3:OK 2:OK 1:OK 4(rd) 5(rd) 6(rd) 6:OK 5:OK 4:OK",
		},
		{
			"1r2P3A4",
			"1() 2(r) 3(r) 4(r) 4:Unavailable 3:Unavailable 3(r) 4(r) 4:OK 3:OK 2:OK 1:OK",
			"1() 2(r) 3(r) 4(r) 4:OK 3:OK 2:OK 1:OK 3(r) 4(r) 4:OK 3:OK",
		},
		{
			"1RBLKA2",
			"1() 2() 2:Unavailable 2() 2:OK 1:OK",
			"1() 2() 2:OK 1:OK 2() 2:OK",
		},
		{"1BLK2", "1() 2() 2:Unavailable 1:Unavailable", "1() 2() 2:OK 1:OK"},
	} {
		for _, kind := range callKinds {
			t.Run(tc.chain+"/"+kind.name, func(t *testing.T) {
				var tr trail
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				var chain []interceptors.ClientInterceptor
				for _, c := range tc.chain {
					chain = append(chain, map[rune]interceptors.ClientInterceptor{
						'r': interceptors.Record(tel.recorder),
						'd': interceptors.Deadline(budget(t, ctxutil.WithMaxTimeout(time.Hour))),
						'R': interceptors.Retry(retrier()), 'B': interceptors.Breaker(newBreaker()),
						'L': interceptors.RateLimited(must(ratelimit.New("inventory", 1000, 1000))),
						'K': interceptors.Bulkhead(newBulkhead(9)), 'A': interceptors.Attempts(tel.recorder),
						'P': interceptors.Policies(servicePolicies(policies.Retry(retry.WithBackoff(1, 1)), policies.Breaker(), policies.Bulkhead(9))),
						'1': tr.markClient("1"), '2': tr.markClient("2"), '3': tr.markClient("3"),
						'4': tr.markClient("4"), '5': tr.markClient("5"), '6': tr.markClient("6"),
					}[c])
				}
				_ = kind.call(t.Context(), dial(t, newScript(fails(codes.Unavailable)).service(), chain...))
				want := tc.stream
				if kind.name == "unary" {
					want = tc.unary
				}
				if got := strings.Join(tr, " "); got != want {
					t.Errorf("order:\n got %s\nwant %s", got, want)
				}
				tel.noneLeft(t)
			})
		}
	}
}

// TestPolicingOrder pins what an attempt asks first: who refuses keeps it from all that
// come after. It is the order of the steps for one layer of all policies, and for single
// ones the order in which they were written.
func TestPolicingOrder(t *testing.T) {
	mark := interceptors.ClientFuncs{}
	type set struct {
		breaker  *breaker.Breaker
		limiter  *ratelimit.Limiter
		bulkhead *bulkhead.Bulkhead
	}
	for _, tc := range []struct {
		name  string
		chain func(set) []interceptors.ClientInterceptor
		order []resilience.Policy
	}{
		{"one after the other", func(s set) []interceptors.ClientInterceptor {
			return []interceptors.ClientInterceptor{interceptors.Breaker(s.breaker), interceptors.RateLimited(s.limiter), interceptors.Bulkhead(s.bulkhead)}
		}, []resilience.Policy{resilience.PolicyBreaker, resilience.PolicyRateLimit, resilience.PolicyBulkhead}},
		{"apart", func(s set) []interceptors.ClientInterceptor {
			return []interceptors.ClientInterceptor{interceptors.Breaker(s.breaker), mark, interceptors.RateLimited(s.limiter), mark, interceptors.Bulkhead(s.bulkhead)}
		}, []resilience.Policy{resilience.PolicyBreaker, resilience.PolicyRateLimit, resilience.PolicyBulkhead}},
		{"in another order", func(s set) []interceptors.ClientInterceptor {
			return []interceptors.ClientInterceptor{interceptors.Bulkhead(s.bulkhead), interceptors.RateLimited(s.limiter), interceptors.Breaker(s.breaker)}
		}, []resilience.Policy{resilience.PolicyBulkhead, resilience.PolicyRateLimit, resilience.PolicyBreaker}},
	} {
		for first := range tc.order {
			for _, kind := range callKinds {
				t.Run(fmt.Sprintf("%s/%s refuses/%s", tc.name, tc.order[first], kind.name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var refused []resilience.Policy
						told := resilience.Observer{Rejected: func(_ context.Context, e *resilience.RejectedError) { refused = append(refused, e.Policy) }}
						s := set{
							breaker: newBreaker(breaker.WithObserver(told)), bulkhead: newBulkhead(1, bulkhead.WithObserver(told)),
							limiter: must(ratelimit.New("inventory", 1.0/60, 1, ratelimit.WithObserver(told))),
						}
						for _, p := range tc.order[first:] { // all that come after would refuse, too
							switch p {
							case resilience.PolicyBreaker:
								trip(t, s.breaker)
							case resilience.PolicyRateLimit:
								_ = s.limiter.Allow(t.Context())
							case resilience.PolicyBulkhead:
								_, _ = s.bulkhead.Allow(t.Context())
							}
						}
						err := kind.call(t.Context(), dial(t, &service{}, tc.chain(s)...))
						if e, ok := errors.AsType[*resilience.RejectedError](err); !ok || e.Policy != tc.order[first] {
							t.Errorf("ended with %v, want a refusal by the %s", err, tc.order[first])
						}
						if len(refused) != 1 {
							t.Errorf("refused by %v, want one", refused)
						}
					})
				})
			}
		}
	}
}

// TestPoliciesWithAttempts: a service's policies and the record of attempts, which
// follows them, are one story: the call's span with its attempts, the server's under
// them, lines, series and events.
func TestPoliciesWithAttempts(t *testing.T) {
	for _, hedged := range []bool{false, true} {
		for _, kind := range callKinds {
			if hedged && kind.name != "unary" {
				continue
			}
			t.Run(fmt.Sprintf("hedged %v/%s", hedged, kind.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					seen := telemetrytest.NewRecorder()
					client, server := seenBy(t, seen, "gateway"), seenBy(t, seen, "stock")
					opts := []policies.ClientOption{policies.NoBudget(), policies.Breaker(breaker.WithMinCalls(3)), policies.Bulkhead(5)}
					steps := []step{fails(codes.Unavailable), nil, slow(time.Hour)}
					if hedged {
						opts = append(opts, policies.Hedge(hedge.WithDelay(time.Second)))
						steps = []step{slow(time.Hour), nil, fails(codes.NotFound), slow(time.Hour)}
					} else {
						opts = append(opts, policies.Retry(retry.WithBackoff(time.Second, time.Second)))
					}
					set := must(policies.New(policies.WithObserver(record.PolicyEvents()), policies.WithService("stock", opts...)))
					s := newScript(steps...)
					cc := serveAt(t, "passthrough:///stock", s.service(), interceptors.ServerOptions(interceptors.Record(server), interceptors.Recovery()),
						interceptors.DialOptions(interceptors.Record(client), interceptors.Policies(set.Service("stock")), interceptors.Attempts(client)))
					stub := testgrpc.NewTestServiceClient(cc)
					if err := kind.call(t.Context(), stub); err != nil { // by its second attempt
						t.Error(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					err := kind.call(ctx, stub)
					cancel()
					if want := codes.DeadlineExceeded; !hedged && status.Code(err) != want || hedged && status.Code(err) != codes.NotFound {
						t.Errorf("ended with %v", err)
					}
					if !hedged { // a caller that was patient, so the breaker is open
						if err := kind.call(t.Context(), stub); !errors.Is(err, resilience.ErrOpen) {
							t.Errorf("not refused: %v", err)
						}
					}
					_ = cc.Close()
					synctest.Wait()
					run := seen.Run(t)
					telemetrytest.Check(t, run)
					run.Traces().NoOrphans()
					first := run.Traces().All()[0]
					first.Covers("gateway", "stock")
					first.Span("Attempt." + strings.ReplaceAll(kind.method, "/", ".")).IsAncestorOf(kind.method)
				})
			})
		}
	}
}

// seenBy returns a call recorder of a service whose signals go to seen.
func seenBy(t *testing.T, seen *telemetrytest.Recorder, name string) *record.Recorder {
	t.Helper()
	reg := prometheus.NewRegistry()
	seen.AddMetrics(name, reg)
	return must(record.New(
		record.WithMetrics(must(metrics.New(reg, metrics.WithExemplarInterval(0)))),
		record.WithLogger(slog.New(logging.NewHandler(seen.LogHandler(name), logging.WithLevel(slog.LevelDebug)))),
		record.WithTracerProvider(seen.TracerProvider(name, sdktrace.WithSampler(sdktrace.AlwaysSample())))))
}

// TestPolicyEvents: the call's span says what became of each attempt, and its line why
// there was not another.
func TestPolicyEvents(t *testing.T) {
	for _, kind := range callKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel := newTelemetry(t, sdktrace.AlwaysSample())
				p := retrier(retry.WithObserver(record.PolicyEvents()), retry.WithMaxAttempts(2))
				s := newScript(fails(codes.Unavailable), fails(codes.Unavailable))
				_ = kind.call(t.Context(), dial(t, s.service(), interceptors.Record(tel.recorder), interceptors.Retry(p), interceptors.Attempts(tel.recorder)))
				spans := tel.ended(trace.SpanKindClient)
				var events []string
				for _, e := range spans[len(spans)-1].Events() {
					events = append(events, e.Name)
				}
				if !slices.Equal(events, []string{"retry", "retry"}) {
					t.Errorf("events %q of the call", events)
				}
				checkLine(t, tel.logs.withMessage(t, "rpc client call"), map[string]any{
					"attempts": 2.0, "retry_reason": retry.ReasonExhausted, "outcome": "transient", "error": "not yet",
				})
			})
		})
	}
}

// TestAttemptsInOtherFormats: each attempt tells its own identity, in whatever format,
// once.
func TestAttemptsInOtherFormats(t *testing.T) {
	both := propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, oddPropagator{})
	for _, by := range retriers {
		for _, kind := range callKinds {
			t.Run(by.name+"/"+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tel := newTelemetry(t, sdktrace.AlwaysSample(), record.WithPropagator(both))
					var mu sync.Mutex
					var sent []metadata.MD
					tell := func(c codes.Code) step {
						return func(ctx context.Context) error {
							mu.Lock()
							defer mu.Unlock()
							md, _ := metadata.FromIncomingContext(ctx)
							sent = append(sent, md)
							return status.Error(c, "told")
						}
					}
					s := newScript(tell(codes.Unavailable), tell(codes.OK))
					cc := serve(t, s.service(), nil, by.options(tel.recorder))
					if err := kind.call(t.Context(), testgrpc.NewTestServiceClient(cc)); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					attempts := tel.ended(trace.SpanKindClient)[:2]
					for i, md := range sent {
						sc := attempts[i].SpanContext()
						want := sc.TraceID().String() + sc.SpanID().String()
						if got := md.Get("x-odd"); !slices.Equal(got, []string{want}) {
							t.Errorf("attempt %d: x-odd %q, want %q", i+1, got, want)
						}
						if got := md.Get("traceparent"); len(got) != 1 || !strings.Contains(got[0], sc.SpanID().String()) {
							t.Errorf("attempt %d: traceparent %q, want that of %v", i+1, got, sc.SpanID())
						}
					}
				})
			})
		}
	}
}
