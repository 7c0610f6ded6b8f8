// SPDX-License-Identifier: Apache-2.0

// Package hedge sends a call a second time when the first takes longer than
// usual, takes the answer that comes first and cancels the other: it buys a
// shorter tail of latencies with a few per cent more load.
//
//	policy, err := hedge.New("inventory",
//		hedge.WithQuantile(0.95),
//		hedge.WithBudget(budget)) // the one that retries to inventory are paid from
//	…
//	reply, summary := hedge.Do(ctx, policy, func(ctx context.Context, a retry.Attempt) (*Reply, retry.Result) {
//		reply, err := get(ctx)
//		return reply, retry.Result{Outcome: classify(err), Err: err}
//	}, nil)
//
// The delay before another attempt is fixed or a quantile of the latencies seen: with
// 0.95, one call in twenty is hedged. Because attempts are paid from a
// [retry.Budget], a service that becomes slow as a whole is not sent every call twice.
//
//	attempt 1 ├──────────────────────────▶ canceled, cause ctxutil.ErrHedgeLost
//	          │← delay →├ attempt 2 ──▶ ok: the answer
//
// An attempt that fails does not end the call while it could still succeed: if its
// outcome is one of [WithNonFatal], or its adapter knows that another attempt is worth
// it ([retry.Result].Retryable), the others go on, and the next is sent at once, but
// for a server that is overloaded or asked to wait. Any other failure is the answer.
//
// # For which calls
//
// Those that may be made twice, and at the same time. Adapters see to that.
//
// # Concurrency
//
// A [Policy] is safe for concurrent use. Attempts of a call that may be hedged run on
// goroutines of their own. [Do] and [Open] return when all of them have ended, so
// that nothing of a call is running when it is over: attempts must return when their
// context ends. Observers are called on the caller's goroutine.
//
// # Cost
//
// A call that may be hedged costs a goroutine, a timer and about a dozen allocations,
// hedged or not: some microseconds, so it is for calls that take milliseconds. One that
// may not be, because of its policy or because it is being retried further up, costs no
// allocation.
//
// # What it is not
//
// It is no retry: it does not wait for failures, and has no backoff. Use one of the
// two for a call. The rules are those of gRFC A6 where that has any.
// See https://github.com/grpc/proposal/blob/master/A6-client-retries.md and Dean and
// Barroso, The Tail at Scale (2013).
package hedge
