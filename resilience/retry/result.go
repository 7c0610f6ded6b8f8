// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"errors"
	"time"

	"github.com/fairlead-go/fairlead/resilience"
)

// The reasons for which there is no other attempt after one that failed: those of
// a [Summary], a [resilience.AttemptsError] and a [resilience.Attempt].
const (
	// ReasonExhausted: the call was sent as often as it may be.
	ReasonExhausted = "attempts exhausted"
	// ReasonBudget: the retries to the service have used up their share.
	ReasonBudget = "retry budget exhausted"
	// ReasonDeadline: the backoff and another attempt do not fit before the deadline.
	ReasonDeadline = "deadline too near"
	// ReasonPushback: the server asked not to be sent the call again.
	ReasonPushback = "pushback: do not retry"
	// ReasonPushbackTooLong: the server asked for a longer wait than is allowed.
	ReasonPushbackTooLong = "pushback: too long a wait"
	// ReasonNotReplayable is for [Result].Veto: the request is gone.
	ReasonNotReplayable = "not replayable"
	// ReasonNested: the request is being retried further up.
	ReasonNested = "nested retry"
	// ReasonNotRetryable: the outcome is not one that is retried.
	ReasonNotRetryable = "not retryable"
	// ReasonEnded: the call's context ended, during an attempt or a backoff.
	ReasonEnded = "context ended"
)

// Pushback is what the server said of another attempt. The zero value is that it
// said nothing.
type Pushback struct {
	said, stop bool
	after      time.Duration
}

// PushbackAfter is a server that asks for another attempt after d, and not sooner;
// 0 is at once.
func PushbackAfter(d time.Duration) Pushback {
	return Pushback{said: true, after: max(d, 0)}
}

// PushbackStop is a server that asks for no other attempt.
func PushbackStop() Pushback { return Pushback{said: true, stop: true} }

// IsStop reports whether the server asked for no other attempt.
func (p Pushback) IsStop() bool { return p.stop }

// After returns how long the server asked to wait, and false if it asked for no wait.
func (p Pushback) After() (time.Duration, bool) { return p.after, p.said && !p.stop }

// Result is how an attempt ended, as an adapter tells the policy.
type Result struct {
	// Outcome decides. Nothing but [resilience.OutcomeOK] is a success.
	Outcome resilience.Outcome
	// Err is the attempt's error. It may be nil for an attempt that failed, when
	// the failure is in the answer, as with an HTTP status.
	Err error
	// Retryable says that the adapter knows this failure to be worth another attempt
	// though its outcome is not retried by default, such as 500 to an HTTP request
	// with an idempotent method. It counts for outcomes that [IsRetryable] allows, and
	// only if the user has not chosen the outcomes by [WithRetryOn].
	Retryable bool
	// Pushback is what the server said of another attempt. It counts only for
	// failures that are retried.
	Pushback Pushback
	// Veto says why the adapter could not make another attempt, in a word or two
	// such as [ReasonNotReplayable]; empty if it could. It becomes the reason, and
	// so one of few.
	Veto string
}

// Attempt is one attempt of a call.
type Attempt struct {
	// Number counts from 1.
	Number int
	// Max is how many there are at most.
	Max   int
	limit *Limit
}

// Answered is for functions given to [Policy.Open]: it says that the answer has
// begun, so that the attempt's time limit no longer applies. It returns false if
// that has passed already: then the answer cannot be read, and the function has to
// give it up and to return [resilience.OutcomeTimeout].
//
// Elsewhere it changes nothing.
func (a Attempt) Answered() bool { return a.limit.Lift() }

// Summary is how a call ended: the result of its last attempt, and why that was
// the last.
type Summary struct {
	// Result is that of the last attempt. Its Err, if it has one, is wrapped in a
	// [*resilience.AttemptsError] if there was more than one attempt, or if there
	// would have been had something not stood against it. If the context ended
	// during a backoff, Outcome and Err say so.
	Result
	// Attempts is how many there were, the first included.
	Attempts int
	// Reason says why there was no other after a failure; empty after success.
	Reason string
}

// DoNotRetry reports whether a server whose handler returned err should ask its
// caller not to retry, by push-back: whether err is of a call that this process
// has retried in vain. Callers that retry all the same multiply the attempts.
//
// It is false for a call that was not retried because the caller is retrying it, or
// because the caller left too little time for it.
func DoNotRetry(err error) bool {
	e, ok := errors.AsType[*resilience.AttemptsError](err)
	if !ok {
		return false
	}
	switch e.Reason {
	case ReasonExhausted, ReasonBudget, ReasonPushback, ReasonPushbackTooLong:
		return true
	default:
		return false
	}
}
