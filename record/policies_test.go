// SPDX-License-Identifier: Apache-2.0

package record_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// event is an event of a span.
type event struct {
	Name  string
	Attrs map[string]any
}

func eventsOf(s sdktrace.ReadOnlySpan) []event {
	var out []event
	for _, e := range s.Events() {
		attrs := map[string]any{}
		for _, kv := range e.Attributes {
			attrs[string(kv.Key)] = kv.Value.AsInterface()
		}
		out = append(out, event{e.Name, attrs})
	}
	return out
}

var errUnavailable = errors.New("unavailable")

// TestPolicyEvents: a call's span tells what policies decided, with the numbers.
func TestPolicyEvents(t *testing.T) {
	o := record.PolicyEvents()
	for _, tc := range []struct {
		name string
		tell func(context.Context)
		want []event
	}{
		{"retried", func(ctx context.Context) {
			o.Attempted(ctx, resilience.Attempt{
				Policy: resilience.PolicyRetry, Name: "stock", Number: 1, Max: 3, Err: errUnavailable,
				Outcome: resilience.OutcomeTransient, Again: true, Backoff: 40500 * time.Microsecond, Budget: 6,
			})
		}, []event{{"retry", map[string]any{
			"fairlead.policy.name": "stock", "fairlead.attempt": int64(1), "fairlead.max_attempts": int64(3),
			"fairlead.outcome": "transient", "fairlead.backoff_ms": 40.5, "fairlead.budget_remaining": 6.0,
		}}}},
		{"given up", func(ctx context.Context) {
			o.Attempted(ctx, resilience.Attempt{
				Policy: resilience.PolicyRetry, Name: "stock", Number: 3, Max: 3, Err: errUnavailable,
				Outcome: resilience.OutcomeTransient, Reason: "attempts exhausted", Budget: -1,
			})
		}, []event{{"retry", map[string]any{
			"fairlead.policy.name": "stock", "fairlead.attempt": int64(3), "fairlead.max_attempts": int64(3),
			"fairlead.outcome": "transient", "fairlead.reason": "attempts exhausted",
		}}}},
		{"hedged, and the second was faster", func(ctx context.Context) {
			o.Attempted(ctx, resilience.Attempt{Policy: resilience.PolicyHedge, Name: "stock", Number: 2, Max: 2, Budget: -1})
			o.Attempted(ctx, resilience.Attempt{
				Policy: resilience.PolicyHedge, Name: "stock", Number: 1, Max: 2,
				Outcome: resilience.OutcomeCanceled, Reason: "another attempt answered first", Budget: -1,
			})
		}, []event{
			{"hedge", map[string]any{
				"fairlead.policy.name": "stock", "fairlead.attempt": int64(2), "fairlead.max_attempts": int64(2), "fairlead.outcome": "ok",
			}},
			{"hedge", map[string]any{
				"fairlead.policy.name": "stock", "fairlead.attempt": int64(1), "fairlead.max_attempts": int64(2),
				"fairlead.outcome": "canceled", "fairlead.reason": "another attempt answered first",
			}},
		}},
		{"refused", func(ctx context.Context) {
			o.Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "stock", Reason: "open", RetryAfter: 12 * time.Second})
			o.Rejected(ctx, &resilience.RejectedError{Policy: resilience.PolicyShed, Name: "order", Reason: "overloaded"})
		}, []event{
			{"rejected", map[string]any{
				"fairlead.policy": "breaker", "fairlead.policy.name": "stock", "fairlead.reason": "open", "fairlead.retry_after_ms": 12000.0,
			}},
			{"rejected", map[string]any{"fairlead.policy": "shed", "fairlead.policy.name": "order", "fairlead.reason": "overloaded"}},
		}},
		{"tripped", func(ctx context.Context) {
			o.StateChanged(ctx, resilience.StateChange{
				Name: "stock", To: resilience.StateOpen, Reason: "failure ratio 0.62 of 50 calls", OpenFor: 30 * time.Second,
				TraceID: record.FromContext(ctx).TraceID(),
			})
			o.StateChanged(ctx, resilience.StateChange{
				Name: "stock", From: resilience.StateOpen, To: resilience.StateHalfOpen, Reason: "open time over",
			})
		}, []event{
			{"breaker state changed", map[string]any{
				"fairlead.policy.name": "stock", "fairlead.breaker.from": "closed", "fairlead.breaker.to": "open",
				"fairlead.reason": "failure ratio 0.62 of 50 calls", "fairlead.breaker.open_for_ms": 30000.0,
			}},
			{"breaker state changed", map[string]any{
				"fairlead.policy.name": "stock", "fairlead.breaker.from": "open", "fairlead.breaker.to": "half-open",
				"fairlead.reason": "open time over",
			}},
		}},
		{"fell back", func(ctx context.Context) {
			o.FellBack(ctx, resilience.Fallback{Name: "cached stock", Err: errUnavailable})
		}, []event{{"fallback", map[string]any{"fairlead.policy.name": "cached stock"}}}},
		{"without its server", func(ctx context.Context) {
			o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyRateLimit, Name: "api", Since: time.Now(), Err: errUnavailable})
			o.Degraded(ctx, resilience.Degradation{Policy: resilience.PolicyRateLimit, Name: "api", Err: errUnavailable}) // it is over
		}, []event{
			{"policy degraded", map[string]any{"fairlead.policy": "rate_limit", "fairlead.policy.name": "api", "fairlead.reason": "unavailable"}},
			{"policy degraded", map[string]any{"fairlead.policy": "rate_limit", "fairlead.policy.name": "api"}},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			for _, kind := range clientKinds {
				call := kind.start(t, b, t.Context())
				tc.tell(context.WithValue(call, struct{}{}, 1))
				kind.finish(call, true)
			}
			for _, s := range b.spans.Ended() {
				if diff := cmp.Diff(tc.want, eventsOf(s)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", s.Name(), diff)
				}
			}
			tc.tell(record.FromContext(clientKinds[0].start(t, newBench(t), t.Context()))) // of another record
		})
	}
}

// TestWhatIsWorthAnEvent: of an attempt, only what a reader of the call does not
// know anyway.
func TestWhatIsWorthAnEvent(t *testing.T) {
	worth := map[resilience.Outcome]bool{ // of a first attempt that no other follows
		resilience.OutcomeTransient: true, resilience.OutcomeOverload: true,
		resilience.OutcomeServerFault: true, resilience.OutcomeTimeout: true,
		resilience.OutcomeOK: false, resilience.OutcomeClientFault: false, resilience.OutcomeCanceled: false,
		resilience.OutcomeCallerDeadline: false, resilience.OutcomeRejected: false,
	}
	for o, want := range worth {
		for _, tc := range []struct {
			a    resilience.Attempt
			want bool
		}{
			{resilience.Attempt{Policy: resilience.PolicyRetry, Number: 1, Outcome: o}, want},
			{resilience.Attempt{Policy: resilience.PolicyRetry, Number: 1, Outcome: o, Again: true}, true},
			{resilience.Attempt{Policy: resilience.PolicyRetry, Number: 2, Outcome: o}, o != resilience.OutcomeOK},
			{resilience.Attempt{Policy: resilience.PolicyHedge, Number: 1, Outcome: o}, want || o == resilience.OutcomeCanceled},
			{resilience.Attempt{Policy: resilience.PolicyHedge, Number: 2, Outcome: o}, true},
		} {
			b := newBench(t)
			call := clientKinds[0].start(t, b, t.Context())
			record.PolicyEvents().Attempted(call, tc.a)
			call.FinishRPC(clientOK, "")
			if got := len(b.spans.Ended()[0].Events()) == 1; got != tc.want {
				t.Errorf("%+v: an event: %v, want %v", tc.a, got, tc.want)
			}
		}
	}
}

// TestRetryReason: the line of a call that failed says why it was not tried
// again; that of a call that succeeded in the end does not.
func TestRetryReason(t *testing.T) {
	o := record.PolicyEvents()
	for _, kind := range clientKinds {
		for _, sampler := range []sdktrace.Sampler{sdktrace.AlwaysSample(), sdktrace.NeverSample()} {
			for _, ok := range []bool{false, true} {
				b := newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))))
				call := kind.start(t, b, t.Context())
				o.Attempted(call, resilience.Attempt{Policy: resilience.PolicyRetry, Number: 1, Max: 3, Outcome: resilience.OutcomeTransient, Again: true})
				o.Attempted(call, resilience.Attempt{Policy: resilience.PolicyRetry, Number: 2, Max: 3, Outcome: resilience.OutcomeTransient, Reason: "retry budget exhausted"})
				o.Attempted(call, resilience.Attempt{Policy: resilience.PolicyHedge, Number: 1, Max: 3, Outcome: resilience.OutcomeCanceled, Reason: "lost"})
				kind.finish(call, ok)
				var want any = "retry budget exhausted"
				if ok {
					want = nil
				}
				if got := b.lines(t)[0][record.RetryReasonKey]; got != want {
					t.Errorf("%s, %s, succeeded %v: retry_reason %v, want %v", kind.name, sampler.Description(), ok, got, want)
				}
			}
		}
	}
}

// TestFallbackDegrades: what a fallback tells of marks the call and its server's.
func TestFallbackDegrades(t *testing.T) {
	b := newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))))
	call := clientKinds[1].start(t, b, t.Context())
	record.PolicyEvents().FellBack(call, resilience.Fallback{Name: "cached stock"})
	if got := call.Degraded(); got != "cached stock" {
		t.Errorf("Degraded() = %q", got)
	}
}

// TestPolicyTextIsBounded: names and reasons have no bound of their own.
func TestPolicyTextIsBounded(t *testing.T) {
	o, long := record.PolicyEvents(), strings.Repeat("x", 5000)+"\xff"
	b := newBench(t)
	call := clientKinds[0].start(t, b, t.Context())
	o.Rejected(call, &resilience.RejectedError{Name: long, Reason: long})
	o.Attempted(call, resilience.Attempt{Name: long, Reason: long, Number: 2, Outcome: resilience.OutcomeTransient})
	o.StateChanged(call, resilience.StateChange{Name: long, Reason: long})
	o.FellBack(call, resilience.Fallback{Name: long})
	o.Degraded(call, resilience.Degradation{Name: long, Since: time.Now(), Err: errors.New(long)})
	call.FinishRPC(clientUnavailable, "")
	texts := 0
	for _, e := range append(eventsOf(b.spans.Ended()[0]), event{Attrs: attributesOf(b.spans.Ended()[0])}, event{Attrs: b.lines(t)[0]}) {
		for k, v := range e.Attrs {
			if s, ok := v.(string); ok {
				if texts++; len(s) > 1024 {
					t.Errorf("%s has %d bytes", k, len(s))
				}
			}
		}
	}
	if texts < 12 {
		t.Errorf("%d texts: the events are not there", texts)
	}
}

// TestPolicyEventsCost: what nobody records costs nothing.
func TestPolicyEventsCost(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBench(t, record.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))))
	unrecorded := clientKinds[0].start(t, b, t.Context())
	recorded := clientKinds[0].start(t, newBench(t), t.Context())
	o := record.PolicyEvents()
	first := resilience.Attempt{Policy: resilience.PolicyRetry, Name: "stock", Number: 1, Max: 3, Budget: 7}
	retried := resilience.Attempt{Policy: resilience.PolicyRetry, Name: "stock", Number: 1, Max: 3, Outcome: resilience.OutcomeTransient, Again: true}
	refused := &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "stock", Reason: "open"}
	for name, f := range map[string]func(){
		"first success, recorded":   func() { o.Attempted(recorded, first) },
		"first success, unrecorded": func() { o.Attempted(unrecorded, first) },
		"retry, unrecorded":         func() { o.Attempted(unrecorded, retried) },
		"refusal, unrecorded":       func() { o.Rejected(unrecorded, refused) },
		"refusal, no call":          func() { o.Rejected(t.Context(), refused) },
		"state, unrecorded":         func() { o.StateChanged(unrecorded, resilience.StateChange{Name: "stock"}) },
		"degraded, unrecorded":      func() { o.Degraded(unrecorded, resilience.Degradation{Name: "stock"}) },
		"fallback, told before":     func() { o.FellBack(unrecorded, resilience.Fallback{Name: "stock"}) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, budget 0", name, got)
		}
	}
}
