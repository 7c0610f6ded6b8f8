// SPDX-License-Identifier: Apache-2.0

package resilience

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// The reasons for which a call is refused before it is sent or handled. Each
// is matched by the [*RejectedError] of its policy, in the process that
// refused and, after a hop, in its callers.
var (
	// ErrOpen: a circuit breaker is open, or half-open and its probes are
	// under way. It is gobreaker's own error.
	ErrOpen = gobreaker.ErrOpenState
	// ErrRateLimited: there were too many calls in the time.
	ErrRateLimited = errors.New("resilience: rate limited")
	// ErrOverloaded: there are too many calls under way: a concurrency limit,
	// a bulkhead or a load shedder refused.
	ErrOverloaded = errors.New("resilience: overloaded")
	// ErrBudgetExhausted: what is left of the caller's deadline does not
	// suffice. It is ctxutil's own error.
	ErrBudgetExhausted = ctxutil.ErrBudgetExhausted
	// ErrNoEndpoints: no instance of the service is known.
	ErrNoEndpoints = errors.New("resilience: no endpoints")
	// ErrAttemptsExhausted is matched by the [*AttemptsError] of a call that
	// was tried as often as it may be.
	ErrAttemptsExhausted = errors.New("resilience: attempts exhausted")
)

// Policy is a kind of policy, as labels, log lines and refusals name it.
type Policy string

// The policies.
const (
	PolicyBreaker     Policy = "breaker"
	PolicyRateLimit   Policy = "rate_limit"
	PolicyConcurrency Policy = "concurrency"
	PolicyBulkhead    Policy = "bulkhead"
	PolicyShed        Policy = "shed"
	PolicyDeadline    Policy = "deadline"
	PolicyRetry       Policy = "retry"
	PolicyHedge       Policy = "hedge"
	PolicyTimeout     Policy = "timeout"
	PolicyFallback    Policy = "fallback"
	PolicyDiscovery   Policy = "discovery"
)

// sentinel returns the error that a refusal by p matches, or nil.
func (p Policy) sentinel() error {
	switch p {
	case PolicyBreaker:
		return ErrOpen
	case PolicyRateLimit:
		return ErrRateLimited
	case PolicyConcurrency, PolicyBulkhead, PolicyShed:
		return ErrOverloaded
	case PolicyDeadline:
		return ErrBudgetExhausted
	case PolicyDiscovery:
		return ErrNoEndpoints
	default:
		return nil
	}
}

// RejectedError is a call that a policy refused. Nothing was sent, or nothing
// was handled, so that the call may be made elsewhere or later.
type RejectedError struct {
	// Policy is the kind of policy that refused.
	Policy Policy
	// Name is which one: the downstream service or the limiter's name.
	Name string
	// Reason says why in a word or two, such as "open". It may reach peers.
	Reason string
	// RetryAfter is how long it is of no use to try again; 0 if that is not known.
	RetryAfter time.Duration
	// Remote says that not this process refused, but one that it called.
	Remote bool
	// Err is the cause, if there is another; for Unwrap.
	Err error
}

// Error implements error: `breaker "payment": open; retry after 12s`, and for one
// that came over the wire `breaker "order" (remote): open; retry after 12s`. What is
// not known is left out.
func (e *RejectedError) Error() string {
	text := string(e.Policy)
	if e.Name != "" {
		text += " " + strconv.Quote(e.Name)
	}
	if e.Remote {
		text += " (remote)"
	}
	text += ": " + cmp.Or(e.Reason, "rejected")
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; retry after %v", e.RetryAfter)
	}
	return text
}

// Is reports whether target is the sentinel of the policy that refused.
func (e *RejectedError) Is(target error) bool {
	s := e.Policy.sentinel()
	return s != nil && target == s
}

// Unwrap returns the cause.
func (e *RejectedError) Unwrap() error { return e.Err }

// AttemptsError is a call that failed in spite of being retried, or because it
// could not be. It unwraps to the last attempt's error.
type AttemptsError struct {
	// Attempts is how many were made, the first included.
	Attempts int
	// Reason says why there was not another, such as "attempts exhausted",
	// "retry budget exhausted" or "stream cannot be replayed".
	Reason string
	// Last is the error of the last attempt.
	Last error
}

// Error implements error.
func (e *AttemptsError) Error() string {
	return fmt.Sprintf("%s after %d attempts: %v", e.Reason, e.Attempts, e.Last)
}

// Is reports whether target is [ErrAttemptsExhausted].
func (*AttemptsError) Is(target error) bool { return target == ErrAttemptsExhausted }

// Unwrap returns the last attempt's error.
func (e *AttemptsError) Unwrap() error { return e.Last }
