// SPDX-License-Identifier: Apache-2.0

// Package breaker stops calls to a downstream service that fails, before they
// are sent, until it has had time to recover.
//
//	b, err := breaker.New("payment", breaker.WithFailureRatio(0.4))
//	…
//	lease, err := b.Allow(ctx)
//	if err != nil {
//		return err // *resilience.RejectedError; errors.Is(err, gobreaker.ErrOpenState)
//	}
//	defer lease.Release() // whatever happens: panic, Goexit, an early return
//	… send …
//	lease.Done(ctx, outcome, took, retryAfter)
//
// [Breaker.Do] does these steps for a function. There is one breaker per
// downstream service, not per method, and unary calls, streams and HTTP share it:
// a [Registry] keeps them.
//
// # States
//
//	      failure ratio or slow ratio reached,
//	      with enough calls in the window
//	┌────────┐ ─────────────────────────────▶ ┌────────┐
//	│ closed │                                │  open  │ refuses every call
//	└────────┘          ┌───────────┐         └────────┘
//	     ▲              │ half-open │ ◀───────────┘ ▲
//	     └───────────── │  probes   │   open time   │
//	     every probe    └───────────┘   is over     │
//	     succeeded            └─────────────────────┘
//	                          one probe failed, or was slow
//
// The window, the counts and the transitions are those of sony/gobreaker. What
// this package adds:
//
//   - The open time is as long as the downstream service asked for (Retry-After),
//     within bounds, and has jitter. Half-open begins exactly when it is over.
//   - Probes are leased. A probe that is canceled, panics or calls runtime.Goexit
//     gives its place back, and so does one that is never reported: when its
//     context ends, or at the latest when the lease does. Should it be reported
//     after that, in the same half-open period, its result still counts, so that
//     a service slower than the lease cannot keep the breaker half-open for ever.
//   - A call counts when it ends. gobreaker forgets one that took longer than its
//     window, and would never see a service that hangs.
//   - Slow calls can trip it.
//   - Operators can force it open or closed, and reset it.
//   - Observers are called outside of its lock, may ask it anything, and learn
//     which trace tripped it and by which numbers.
//
// # What counts
//
//	outcome                      closed      half-open
//	ok, client fault             success     success
//	transient, overload, timeout failure     failure
//	server fault                 –           success: the server answers
//	refused by a policy there    –           success: the server answers
//	caller deadline after 1 s    failure     failure
//	caller deadline before that  –           gives its place back
//	canceled, rejected           –           gives its place back
//
// [WithFailures] changes the second and the third row, [WithPatience] the time that
// a caller's deadline must have left the service; the first and the last row are
// fixed. A service that hangs is noticed by a time limit of ours or by deadlines of
// callers that were patient: if all of theirs are shorter than that, give each
// attempt a limit, or count slow calls.
//
// # Concurrency
//
// A Breaker is safe for concurrent use. It has one lock, which no other breaker
// shares, and starts no goroutine. An admitted call costs one allocation.
package breaker
