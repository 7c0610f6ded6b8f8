// SPDX-License-Identifier: Apache-2.0

// Package retry makes calls again that failed by no fault of their own: after a
// jittered backoff, within a share of the traffic, and never past the deadline.
//
//	policy, err := retry.New("inventory",
//		retry.WithMaxAttempts(3),
//		retry.WithPerTryTimeout(200*time.Millisecond))
//	…
//	summary := policy.Do(ctx, func(ctx context.Context, a retry.Attempt) retry.Result {
//		err := send(ctx)
//		return retry.Result{Outcome: classify(err), Err: err}
//	})
//	return summary.Err
//
// An attempt has an [github.com/fairlead-go/fairlead/resilience.Outcome], and
// that decides whether there is another: the package knows no codes. By default
// calls are retried that ended as transient or overload, and those of which the
// adapter knows more than their outcome says ([Result].Retryable).
//
//	attempt ──ok──────────────────────────────────────────────▶ done
//	   ▲ └──failed──▶ retryable? attempts left? server agrees?
//	   │              can be sent again? not a retry already? ──no──▶ AttemptsError
//	   │                 │ yes
//	   │              backoff and an attempt fit the deadline? ──no──▶ AttemptsError
//	   │                 │ yes
//	   │              budget has a token? ──────────────────────no──▶ AttemptsError
//	   └──── backoff ────┘ yes
//
// # Three ways in
//
// [Policy.Do] is for calls that are over when their function returns, as unary
// ones are. [Policy.Open] is for calls whose answer is read afterwards: HTTP
// responses, streams. [Policy.Start] gives a [Run] to those who own the loop.
//
// # Storms
//
// Three attempts at each of three hops make 27 calls of one. Three things keep
// that from happening. The [Budget] of a downstream service allows retries as a
// share of what is sent to it. A request that is being retried further up is not
// retried further down: adapters put [PreviousAttempts] on the wire and, where
// they receive it, back into the context. And a server whose own call was retried
// in vain tells its caller so ([DoNotRetry]), which then does not retry in turn.
//
// # Concurrency
//
// A [Policy] and a [Budget] are safe for concurrent use; a [Run] belongs to one
// call. The package starts no goroutine.
//
// # Cost
//
// A call that succeeds at once costs two readings of the monotonic clock and no
// allocation; with a per-try timeout, what its context costs.
//
// # What it is not
//
// It does not know whether a call may be repeated: adapters do, who see method and
// body, and say so in [Result].Veto. It does not hedge; that is package hedge. It
// sets no deadline for the caller; that is ctxutil's budget.
//
// The rules are those of gRFC A6 where that has any.
// See https://github.com/grpc/proposal/blob/master/A6-client-retries.md.
package retry
