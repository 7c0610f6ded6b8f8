// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// TestRateLimit: a token a request, and the peer is told when there is another one.
func TestRateLimit(t *testing.T) {
	for _, chain := range []string{"recorded", "alone"} {
		t.Run(chain, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t)
				var told []resilience.RejectedError
				l := newLimiter(t, 2, 1, ratelimit.WithObserver(resilience.Observer{
					Rejected: func(_ context.Context, e *resilience.RejectedError) { told = append(told, *e) },
				}))
				handled := 0
				h := g.admission(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled++ }), httpmw.RateLimit(l))[chain]
				if w := direct(h, request()); w.Code != http.StatusOK {
					t.Fatal(w.Code)
				}
				w := direct(h, request())
				trace := ""
				if chain == "recorded" {
					trace = fmt.Sprintf(`"trace_id":%q,`, w.Header().Get("X-Trace-Id"))
				}
				want := `429 Content-Type: ["application/problem+json"] Retry-After: ["1"] X-Retry-Pushback-Ms: ["500"] ` +
					`{"detail":"rate limited","policy":"rate_limit","reason":"rate limited","status":429,"title":"Too Many Requests",` + trace + `"type":"tag:fairlead-go.github.io,2026:rejected"}`
				if got := wire(w); got != want {
					t.Errorf("the peer got  %s\nwant          %s", got, want)
				}
				time.Sleep(500 * time.Millisecond)
				if w := direct(h, request()); w.Code != http.StatusOK {
					t.Errorf("after the time it was told: %d", w.Code)
				}
				if handled != 2 {
					t.Errorf("%d requests handled, want 2", handled)
				}
				if len(told) != 1 || told[0].Name != "db-of-inventory" {
					t.Errorf("the observer was told %v, want one refusal", told)
				}
				if chain == "recorded" {
					g.checkRejected(429)
				}
			})
		})
	}
}

// TestKeyedRateLimit: a bucket for each key, by default for each peer and, inside of a
// mux, for each route; paths that peers make up are none.
func TestKeyedRateLimit(t *testing.T) {
	var seen []ratelimit.Key
	limit := httpmw.KeyedRateLimit(keyedFunc(func(_ context.Context, key ratelimit.Key) error { seen = append(seen, key); return nil }), nil)
	inside := http.NewServeMux()
	inside.Handle("GET /orders/{id}", limit(http.NotFoundHandler()))
	for name, h := range map[string]http.Handler{"": limit(inside), "GET /orders/{id}": inside} {
		for i := range 2 {
			seen = nil
			direct(h, httptest.NewRequest(http.MethodGet, fmt.Sprint("/orders/", i), nil))
			want := []ratelimit.Key{{Client: "192.0.2.1", Method: name}}
			if name == "" {
				want = append(want, ratelimit.Key{Client: "192.0.2.1", Method: "GET /orders/{id}"})
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		}
	}
}

func TestKeyOfTheUsers(t *testing.T) {
	l, err := ratelimit.NewKeyed("clients", 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	byTenant := func(r *http.Request) ratelimit.Key { return ratelimit.Key{Client: r.Header.Get("X-Tenant")} }
	h := httpmw.KeyedRateLimit(l, byTenant)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for i, tc := range []struct {
		tenant string
		want   int
	}{{"acme", 200}, {"acme", 429}, {"bolt", 200}, {"bolt", 429}} {
		r := request()
		r.Header.Set("X-Tenant", tc.tenant)
		if w := direct(h, r); w.Code != tc.want {
			t.Errorf("request %d: %d, want %d", i, w.Code, tc.want)
		}
	}
}
