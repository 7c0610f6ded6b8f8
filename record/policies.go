// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/resilience"
)

// RetryReasonKey is the request log's key for why a call that failed was not
// tried again, such as "attempts exhausted".
const RetryReasonKey = "retry_reason"

// PolicyEvents returns the observer that makes the record of a call tell what
// policies decide about it. On the call's span these are events with the numbers:
//
//	retry, hedge           the attempt that ended: which of how many, its outcome, the
//	                       backoff and the budget left, or why no other follows
//	rejected               policy, name, reason, how long not to try again
//	breaker state changed  name, states, reason, how long it will be open
//	fallback               name
//	policy degraded        policy, name; without a reason when it is over
//
// An attempt is not worth an event if it was the first and succeeded, or failed
// in a way that nobody would try again. The request log gets [DegradedKey] and, if
// the call fails in the end, [RetryReasonKey]. A fallback marks the calls as
// [Degrade] does.
//
// Without a call in the context that a policy decides in, or if nobody records
// the call's span, it costs no allocation.
func PolicyEvents() resilience.Observer {
	return resilience.Observer{
		Rejected:     rejected,
		StateChanged: stateChanged,
		Attempted:    attempted,
		FellBack:     fellBack,
		Degraded:     policyDegraded,
	}
}

func rejected(ctx context.Context, e *resilience.RejectedError) {
	c := FromContext(ctx)
	if c == nil || !c.recording {
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, 4), policyAttributes(e.Policy, e.Name)...)
	attrs = append(attrs, semconv.ReasonKey.String(bounded(e.Reason)))
	if e.RetryAfter > 0 {
		attrs = append(attrs, milliseconds(semconv.RetryAfterKey, e.RetryAfter))
	}
	c.Event(semconv.RejectedEvent, attrs...)
}

func stateChanged(ctx context.Context, e resilience.StateChange) {
	c := FromContext(ctx)
	if c == nil || !c.recording {
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, 5),
		semconv.PolicyNameKey.String(bounded(e.Name)),
		semconv.BreakerFromKey.String(e.From.String()),
		semconv.BreakerToKey.String(e.To.String()),
		semconv.ReasonKey.String(bounded(e.Reason)))
	if e.OpenFor > 0 {
		attrs = append(attrs, milliseconds(semconv.OpenForKey, e.OpenFor))
	}
	c.Event(semconv.BreakerEvent, attrs...)
}

func attempted(ctx context.Context, e resilience.Attempt) {
	if !worthTelling(&e) {
		return
	}
	c := FromContext(ctx)
	if c == nil {
		return
	}
	if !e.Again && e.Reason != "" && e.Outcome != resilience.OutcomeCanceled {
		c.noteRetryReason(e.Reason)
	}
	if !c.recording {
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, 6),
		semconv.PolicyNameKey.String(bounded(e.Name)),
		semconv.AttemptKey.Int(e.Number),
		semconv.MaxAttemptsKey.Int(e.Max),
		semconv.OutcomeKey.String(e.Outcome.String()))
	if e.Again {
		attrs = append(attrs, milliseconds(semconv.BackoffKey, e.Backoff))
	} else if e.Reason != "" {
		attrs = append(attrs, semconv.ReasonKey.String(bounded(e.Reason)))
	}
	if e.Budget >= 0 {
		attrs = append(attrs, semconv.BudgetRemainingKey.Float64(e.Budget))
	}
	name := semconv.RetryEvent
	if e.Policy == resilience.PolicyHedge {
		name = semconv.HedgeEvent
	}
	c.Event(name, attrs...)
}

// worthTelling reports whether a reader of the call's span wants to know of the
// end of an attempt. Of retries, success is what the span says anyway; of hedged
// calls, it matters which attempt it was.
func worthTelling(e *resilience.Attempt) bool {
	switch {
	case e.Again:
		return true
	case e.Outcome == resilience.OutcomeOK:
		return e.Policy == resilience.PolicyHedge && e.Number > 1
	case e.Number > 1:
		return true
	}
	switch e.Outcome {
	case resilience.OutcomeTransient, resilience.OutcomeOverload, resilience.OutcomeServerFault, resilience.OutcomeTimeout:
		return true
	default:
		// The reason is the outcome, or of a hedged call's first attempt, that another was faster.
		return e.Policy == resilience.PolicyHedge && e.Number == 1 && e.Outcome == resilience.OutcomeCanceled
	}
}

func fellBack(ctx context.Context, e resilience.Fallback) {
	Degrade(ctx, e.Name)
	if c := FromContext(ctx); c != nil && c.recording {
		c.Event(semconv.FallbackEvent, semconv.PolicyNameKey.String(bounded(e.Name)))
	}
}

func policyDegraded(ctx context.Context, e resilience.Degradation) {
	c := FromContext(ctx)
	if c == nil || !c.recording {
		return
	}
	attrs := append(make([]attribute.KeyValue, 0, 3), policyAttributes(e.Policy, e.Name)...)
	if !e.Since.IsZero() && e.Err != nil {
		attrs = append(attrs, semconv.ReasonKey.String(bounded(e.Err.Error())))
	}
	c.Event(semconv.PolicyDegradedEvent, attrs...)
}

// noteRetryReason keeps why the call was not tried again; the last one counts.
func (c *Call) noteRetryReason(reason string) {
	reason = bounded(reason)
	c.retryReason.Store(&reason)
}

func policyAttributes(p resilience.Policy, name string) []attribute.KeyValue {
	return []attribute.KeyValue{semconv.PolicyKey.String(string(p)), semconv.PolicyNameKey.String(bounded(name))}
}

func milliseconds(key attribute.Key, d time.Duration) attribute.KeyValue {
	return key.Float64(float64(d) / float64(time.Millisecond))
}
