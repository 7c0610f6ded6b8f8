// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"net/http"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// policiesAt returns every policy of a server, with room for one request more or none.
func policiesAt(tb testing.TB, full bool) map[string]httpmw.Middleware {
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
	return map[string]httpmw.Middleware{
		"RateLimit": httpmw.RateLimit(rates), "KeyedRateLimit": httpmw.KeyedRateLimit(keyed, nil),
		"Concurrency": httpmw.Concurrency(slots), "Shed": httpmw.Shed(shedder),
	}
}

// TestRefusalBudget: admitting a request costs next to nothing, and refusing one little:
// the problem, its headers, the error. Under a record there are the two ids, and what
// the log says more.
func TestRefusalBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := serverAllocs(bareHandler())
	for name := range policiesAt(t, false) {
		for _, tc := range []struct {
			name              string
			mws               []httpmw.Middleware
			accepted, refused float64 // over bare
		}{
			{"alone", nil, 1, 25},
			{"recorded", []httpmw.Middleware{httpmw.Record(stack(t, sdktrace.NeverSample())), httpmw.Recovery()}, 12, 40},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				chain := func(full bool) http.Handler {
					return httpmw.Chain(bareHandler(), append(tc.mws[:len(tc.mws):len(tc.mws)], policiesAt(t, full)[name])...)
				}
				accepted, refused := serverAllocs(chain(false))-bare, serverAllocs(chain(true))-bare
				t.Logf("%.0f allocations more than bare for a request admitted, %.0f for one refused", accepted, refused)
				if accepted > tc.accepted || refused > tc.refused {
					t.Errorf("budgets: %.0f admitted, %.0f refused", tc.accepted, tc.refused)
				}
			})
		}
	}
}

// BenchmarkAdmission is for a request to a handler that does nothing.
func BenchmarkAdmission(b *testing.B) {
	rec := stack(b, sdktrace.NeverSample())
	for _, full := range []bool{false, true} {
		b.Run("shed/"+map[bool]string{false: "admitted", true: "refused"}[full], func(b *testing.B) {
			h := httpmw.Chain(bareHandler(), httpmw.Record(rec), httpmw.Recovery(), policiesAt(b, full)["Shed"])
			w, r := &quietWriter{header: http.Header{}}, newServed()
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}
