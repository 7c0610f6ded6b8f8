// SPDX-License-Identifier: Apache-2.0

package semconv

import "go.opentelemetry.io/otel/attribute"

// Attributes of attempts, as gRPC's own OpenTelemetry plugin names them
// (gRFC A72, https://github.com/grpc/proposal/blob/master/A72-open-telemetry-tracing.md).
const (
	// PreviousRPCAttemptsKey (int) is 0 for the first attempt.
	PreviousRPCAttemptsKey = attribute.Key("previous-rpc-attempts")
	// TransparentRetryKey (bool) says that the attempt repeats one that the
	// server has not seen.
	TransparentRetryKey = attribute.Key("transparent-retry")
)

// Attributes that the conventions have no name for. Policies put them on the
// events of the call that they decide upon; times are fractions of a millisecond.
const (
	// DegradedKey (string), on a span, is the name of the fallback whose reply
	// stood in for what failed, or for a part of it.
	DegradedKey = attribute.Key("fairlead.degraded")

	// PolicyKey (string) is the kind of policy, such as "retry".
	PolicyKey = attribute.Key("fairlead.policy")
	// PolicyNameKey (string) is which one: usually the downstream service.
	PolicyNameKey = attribute.Key("fairlead.policy.name")
	// ReasonKey (string) says in a few words why a policy decided so.
	ReasonKey = attribute.Key("fairlead.reason")
	// RetryAfterKey (double) is how long it is of no use to try again.
	RetryAfterKey = attribute.Key("fairlead.retry_after_ms")

	// AttemptKey (int) is the number of an attempt; the first is 1. It is also on
	// the spans of attempts over HTTP.
	AttemptKey = attribute.Key("fairlead.attempt")
	// MaxAttemptsKey (int) is how many there may be, the first included.
	MaxAttemptsKey = attribute.Key("fairlead.max_attempts")
	// OutcomeKey (string) is how it ended, see resilience.Outcome.
	OutcomeKey = attribute.Key("fairlead.outcome")
	// BackoffKey (double) is the wait before the next attempt.
	BackoffKey = attribute.Key("fairlead.backoff_ms")
	// BudgetRemainingKey (double) is how many retries the budget has left.
	BudgetRemainingKey = attribute.Key("fairlead.budget_remaining")

	// BreakerFromKey and BreakerToKey (string) are states of a breaker.
	BreakerFromKey = attribute.Key("fairlead.breaker.from")
	BreakerToKey   = attribute.Key("fairlead.breaker.to")
	// OpenForKey (double) is how long a breaker will be open.
	OpenForKey = attribute.Key("fairlead.breaker.open_for_ms")
)

// Names of the span events in which a call's span tells what policies decided.
const (
	RetryEvent          = "retry"
	HedgeEvent          = "hedge"
	RejectedEvent       = "rejected"
	BreakerEvent        = "breaker state changed"
	FallbackEvent       = "fallback"
	PolicyDegradedEvent = "policy degraded"
)
