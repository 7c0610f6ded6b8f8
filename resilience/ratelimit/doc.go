// SPDX-License-Identifier: Apache-2.0

// Package ratelimit bounds how many calls there are in a time, and how many at
// once.
//
//	perSecond, err := ratelimit.New("orders", 500, 100)           // 500 a second, 100 at a stroke
//	atOnce, err := ratelimit.NewConcurrency("orders", 64)         // 64 under way
//	admission := ratelimit.NewBoth(perSecond, atOnce)             // a server: both must pass
//	…
//	permit, err := admission.Allow(ctx)
//	if err != nil {
//		return err // *resilience.RejectedError with RetryAfter
//	}
//	defer permit.Done()
//
// There are four kinds:
//
//	Limiter      a token bucket (golang.org/x/time/rate). A server asks Allow and
//	             refuses; a client asks Wait and slows down.
//	Concurrency  a number of slots and, if asked for, a queue. It protects a server
//	             whose calls take longer and longer at the same rate.
//	Both         the two: a call needs a slot and a token.
//	Keyed        a token bucket per client and method, for one server among many
//	             clients.
//
// Refusals match resilience.ErrRateLimited where a bucket is empty, with the time
// in which it has the next token, and resilience.ErrOverloaded where the slots are
// taken. It is all within this process: module redislimit shares a limit between
// processes. For a client's slots per downstream service see package bulkhead, for
// a limit that finds itself see package shed.
//
// # Memory
//
// A [Keyed] limiter knows a bounded number of keys and forgets the one that has
// been idle for longest. A key that is forgotten while its bucket is not full gets
// a full one when it returns, and so may exceed its rate by up to the burst. With
// room for the keys that are active within burst / limit seconds that does not
// happen. Clients that change their name with each call get a burst for each name,
// here as anywhere: only the limit for all bounds them.
//
// # Concurrency
//
// All kinds are safe for concurrent use, start no goroutine and need no closing. A
// call that is admitted at once costs no allocation. Limiters share no lock; the
// keys of one [Keyed] limiter do.
package ratelimit
