// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// policingVariants are layers of policies that a successful request goes through, with
// what they may cost over none, in allocations.
func policingVariants() []struct {
	name string
	on   httpmw.Transport
	most float64
} {
	generous := policies.RateLimit(rate.Limit(1e12), 1e9)
	method := policies.Method("PUT /orders/{id}", policies.NoRetry())
	return []struct {
		name string
		on   httpmw.Transport
		most float64
	}{
		{"none", httpmw.PoliciesTransport(service()), 0},
		{"retry", httpmw.PoliciesTransport(service(policies.Retry())), 0},
		{"breaker", httpmw.PoliciesTransport(service(policies.Breaker())), 1},
		{"rate limit", httpmw.PoliciesTransport(service(generous)), 0},
		{"default: retry, breaker", httpmw.PoliciesTransport(service(policies.Retry(), policies.Breaker())), 1},
		{"retry, breaker, rate limit", httpmw.PoliciesTransport(service(policies.Retry(), policies.Breaker(), generous)), 1},
		// A slot is kept until the body is over: the body is watched, and the context.
		{"bulkhead", httpmw.PoliciesTransport(service(policies.Bulkhead(10))), 5},
		{"retry, breaker, rate limit, bulkhead", httpmw.PoliciesTransport(service(policies.Retry(), policies.Breaker(), generous, policies.Bulkhead(10))), 6},
		// A time limit is a context and a timer of the attempt's, and a copy of the request.
		{"retry with a time limit", httpmw.PoliciesTransport(service(policies.Retry(retry.WithPerTryTimeout(time.Minute)))), 10},
		{"a method's own", httpmw.PoliciesTransport(service(policies.Retry(), method)), 4},
	}
}

// TestPolicingBudget holds the success path to its budget over the bare transport.
func TestPolicingBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bare := clientAllocs(t, bareTransport())
	for _, v := range policingVariants() {
		got := clientAllocs(t, v.on(bareTransport())) - bare
		t.Logf("%s: %.0f allocations over bare's %.0f", v.name, got, bare)
		if got > v.most {
			t.Errorf("%s: %.0f allocations over bare, budget %.0f", v.name, got, v.most)
		}
	}
}

// TestAttemptBudget: what the record of a request's one attempt adds to the request's.
func TestAttemptBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, tc := range map[string]struct {
		sampler sdktrace.Sampler
		most    float64
	}{
		"sampled":   {sdktrace.AlwaysSample(), 24},
		"unsampled": {sdktrace.NeverSample(), 7},
	} {
		rec := stack(t, tc.sampler)
		call := clientAllocs(t, httpmw.RecordTransport(rec, "shop")(bareTransport()))
		both := clientAllocs(t, httpmw.ChainTransport(bareTransport(), httpmw.RecordTransport(rec, "shop"), httpmw.AttemptTransport(rec)))
		t.Logf("%s: %.0f allocations over the record's %.0f", name, both-call, call)
		if both-call > tc.most {
			t.Errorf("%s: %.0f allocations over the record's, budget %.0f", name, both-call, tc.most)
		}
	}
}

// BenchmarkPolicing compares successful requests with and without policies; gobreaker's
// own Execute around nothing is the measure of the machine.
func BenchmarkPolicing(b *testing.B) {
	run := func(name string, rt http.RoundTripper) {
		b.Run(name, func(b *testing.B) {
			r, buf := newSent(b), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				roundTripOnce(b, rt, r, buf)
			}
		})
	}
	b.Run("gobreaker", func(b *testing.B) {
		cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
		b.ReportAllocs()
		for b.Loop() {
			_, _ = cb.Execute(func() (int, error) { return 0, nil })
		}
	})
	run("bare", bareTransport())
	for _, v := range policingVariants() {
		run(v.name, v.on(bareTransport()))
	}
}
