// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/breaker"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

func TestNilPolicies(t *testing.T) {
	wantPanic(t, "httpmw: PoliciesTransport: nil service", func() { httpmw.PoliciesTransport(nil) })
	wantPanic(t, "httpmw: RetryTransport: nil policy", func() { httpmw.RetryTransport(nil) })
	wantPanic(t, "httpmw: HedgeTransport: nil policy", func() { httpmw.HedgeTransport(nil) })
	wantPanic(t, "httpmw: BreakerTransport: nil breaker", func() { httpmw.BreakerTransport(nil) })
	wantPanic(t, "httpmw: RateLimitTransport: nil limiter", func() { httpmw.RateLimitTransport(nil) })
	wantPanic(t, "httpmw: BulkheadTransport: nil bulkhead", func() { httpmw.BulkheadTransport(nil) })
	wantPanic(t, "httpmw: AttemptTransport: nil recorder", func() { httpmw.AttemptTransport(nil) })
}

// TestOrderOfPolicies: who refuses first, and what those before it and after it have
// had of the request.
func TestOrderOfPolicies(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breaker bool // open
		tokens  int
		slots   int
		policy  resilience.Policy
		left    float64 // tokens
		inUse   int     // slots, with the answer open
		sent    int32
	}{
		{"all allow", false, 1, 1, "", 0, 1, 1},
		{"the breaker is asked first", true, 1, 1, resilience.PolicyBreaker, 1, 0, 0},
		{"then the rate limit", false, 0, 1, resilience.PolicyRateLimit, 0, 0, 0},
		{"then the bulkhead", false, 1, 0, resilience.PolicyBulkhead, 0, 0, 0},
		{"all refuse", true, 0, 0, resilience.PolicyBreaker, 0, 0, 0},
		{"limit and bulkhead refuse", false, 0, 0, resilience.PolicyRateLimit, 0, 0, 0},
	} {
		for _, fused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fused %v", tc.name, fused), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					svc := service(policies.Retry(retry.WithBackoff(1, 1)), policies.Breaker(), policies.RateLimit(rate.Every(time.Hour), 1), policies.Bulkhead(1))
					p := svc.Client()
					if tc.breaker {
						p.Breaker.ForceOpen(t.Context())
					}
					if tc.tokens == 0 {
						_ = p.RateLimit.Allow(t.Context())
					}
					if tc.slots == 0 {
						slot := must(p.Bulkhead.Allow(t.Context()))
						defer slot.Done()
					}
					taken := p.Bulkhead.Snapshot().InFlight
					var sent atomic.Int32
					ts := []httpmw.Transport{httpmw.PoliciesTransport(svc)}
					if !fused {
						ts = []httpmw.Transport{
							httpmw.RetryTransport(p.Retry), httpmw.BreakerTransport(p.Breaker), httpmw.RateLimitTransport(p.RateLimit), httpmw.BulkheadTransport(p.Bulkhead),
						}
					}
					rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
						sent.Add(1)
						return answers(200, io.NopCloser(strings.NewReader("ok"))).RoundTrip(r)
					}), ts...)
					resp, err := rt.RoundTrip(newRequest(t, http.MethodGet, "http://payment/", nil))
					e, _ := errors.AsType[*resilience.RejectedError](err)
					if e == nil {
						e = &resilience.RejectedError{}
					}
					if (err == nil) != (tc.policy == "") || e.Policy != tc.policy {
						t.Errorf("%v, want a refusal by %q", err, tc.policy)
					}
					if tokens := p.RateLimit.Snapshot().Tokens; tokens != tc.left {
						t.Errorf("%v tokens left, want %v", tokens, tc.left)
					}
					if n := p.Bulkhead.Snapshot().InFlight - taken; n != tc.inUse {
						t.Errorf("%d slots in use, want %d", n, tc.inUse)
					}
					if got := p.Breaker.Snapshot(); got.Failures != 0 || got.Successes != int(tc.sent) || sent.Load() != tc.sent {
						t.Errorf("sent %d; the breaker has %+v", sent.Load(), got)
					}
					if resp != nil {
						resp.Body.Close()
					}
					if n := p.Bulkhead.Snapshot().InFlight - taken; n != 0 {
						t.Errorf("%d slots in use when the answer is closed", n)
					}
				})
			})
		}
	}
}

// TestMethodsHaveTheirOwn: a pattern's policies are those of the requests it matches,
// and the service's breaker is everybody's.
func TestMethodsHaveTheirOwn(t *testing.T) {
	svc := service(
		policies.Retry(retry.WithMaxAttempts(3), retry.WithBackoff(1, 1)), policies.Breaker(breaker.WithMinCalls(100)), policies.NoBudget(),
		policies.Method("GET /orders/{id}", policies.Retry(retry.WithMaxAttempts(2))),
		policies.Method("GET /orders/{id}/items/", policies.NoRetry()),
		policies.Method("PUT /orders/{id}", policies.NoRetry()),
		policies.Method("/shop.Orders/Get", policies.NoRetry()))
	s := serveSteps(t, false, status(503))
	c := s.with(httpmw.PoliciesTransport(svc))
	total := 0
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/orders/7", 2},
		{"HEAD", "/orders/7", 2}, // as in a ServeMux
		{"GET", "/orders/7?full=1", 2},
		{"GET", "/orders//7", 2},
		{"GET", "/orders/7/items/", 1},
		{"GET", "/orders/7/items/1", 1},
		{"PUT", "/orders/7", 1},
		{"DELETE", "/orders/7", 3},
		{"GET", "/orders", 3},
		{"GET", "", 3},
		{"GET", "/shop.Orders/Get", 3}, // gRPC's
	} {
		before := len(s.requests())
		send(t, c, newRequest(t, tc.method, s.url+tc.path, nil))
		n := len(s.requests()) - before
		if n != tc.want {
			t.Errorf("%s %s: %d attempts, want %d", tc.method, tc.path, n, tc.want)
		}
		total += n
	}
	if got := svc.Breaker().Snapshot(); got.Failures != total {
		t.Errorf("the breaker has %d failures of %d requests", got.Failures, total)
	}
}

// TestClientChainOrder: who sees a request, how often, and with what, in the order that
// the package's documentation gives.
func TestClientChainOrder(t *testing.T) {
	type world struct {
		p *policies.Client
		s *scripted
	}
	names := []string{"record", "deadline", "retry", "breaker", "rate limit", "bulkhead", "attempt"}
	for _, tc := range []struct {
		name  string
		steps []http.HandlerFunc
		event func(t *testing.T, w world)
		// want is how often a request gets past each of names.
		want []int
	}{
		{"success", []http.HandlerFunc{status(200)}, nil, []int{1, 1, 1, 1, 1, 1, 1}},
		{"503, then success", []http.HandlerFunc{status(503), status(200)}, nil, []int{1, 1, 2, 2, 2, 2, 2}},
		{"a client fault", []http.HandlerFunc{status(404)}, nil, []int{1, 1, 1, 1, 1, 1, 1}},
		{"no time", []http.HandlerFunc{status(200)}, func(*testing.T, world) {}, []int{1, 0, 0, 0, 0, 0, 0}},
		{"breaker open", []http.HandlerFunc{status(200)}, func(t *testing.T, w world) { w.p.Breaker.ForceOpen(t.Context()) }, []int{1, 1, 1, 0, 0, 0, 0}},
		{"no token", []http.HandlerFunc{status(200)}, func(t *testing.T, w world) {
			for w.p.RateLimit.Allow(t.Context()) == nil { // take them all
			}
		}, []int{1, 1, 1, 1, 0, 0, 0}},
		{"no slot", []http.HandlerFunc{status(200)}, func(t *testing.T, w world) {
			slot := must(w.p.Bulkhead.Allow(t.Context()))
			t.Cleanup(slot.Done)
		}, []int{1, 1, 1, 1, 1, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newRig(t)
			svc := service(policies.Retry(retry.WithBackoff(1, 1)), policies.Breaker(), policies.RateLimit(rate.Every(time.Hour), 5), policies.Bulkhead(1))
			w := world{svc.Client(), serveSteps(t, false, tc.steps...)}
			if tc.event != nil {
				tc.event(t, w)
			}
			got := make([]int, len(names))
			var ids []string // traceparents at the bottom
			probe := func(i int) httpmw.Transport {
				return func(next http.RoundTripper) http.RoundTripper {
					return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
						got[i]++
						if _, told := r.Header["X-Request-Timeout-Ms"]; told != (i >= 1) {
							t.Errorf("below %s, a deadline is told: %v", names[i], told)
						}
						if again := r.Header.Get("X-Previous-Attempts") != ""; again != (i >= 2 && got[i] > 1) {
							t.Errorf("below %s, request %d is said to be another attempt: %v", names[i], got[i], again)
						}
						if i == len(names)-1 {
							ids = append(ids, r.Header.Get("Traceparent"))
						}
						return next.RoundTrip(r)
					})
				}
			}
			p := w.p
			var chain []httpmw.Transport
			for i, on := range []httpmw.Transport{
				httpmw.RecordTransport(g.recorder, "payment"), httpmw.DeadlineTransport(budget(t, ctxutil.WithMaxTimeout(time.Minute))),
				httpmw.RetryTransport(p.Retry), httpmw.BreakerTransport(p.Breaker), httpmw.RateLimitTransport(p.RateLimit), httpmw.BulkheadTransport(p.Bulkhead),
				httpmw.AttemptTransport(g.recorder),
			} {
				chain = append(chain, on, probe(i))
			}
			ctx := t.Context()
			if tc.want[1] == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, time.Now())
				defer cancel()
			}
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.s.url, nil)
			resp, err := httpmw.ChainTransport(w.s.client.Transport, chain...).RoundTrip(r)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%v: %v (-want +got):\n%s", names, err, diff)
			}
			call, attempts := g.callAndAttempts()
			if len(attempts) != tc.want[len(names)-1] {
				t.Errorf("%d attempts recorded", len(attempts))
			}
			for i, a := range attempts {
				if want := "00-" + call.TraceID() + "-" + a.SpanID() + "-01"; !strings.HasPrefix(ids[i], want[:52]) {
					t.Errorf("attempt %d was sent as %s, want %s", i+1, ids[i], want)
				}
			}
		})
	}
}
