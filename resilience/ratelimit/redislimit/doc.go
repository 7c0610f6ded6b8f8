// SPDX-License-Identifier: Apache-2.0

// Package redislimit bounds the rate of calls per client and method across all
// processes of a service, with a count that they share in Redis.
//
//	client := redislimit.NewClient(redis.UniversalOptions{Addrs: []string{"redis:6379"}})
//	limiter, err := redislimit.New("orders", client, 600) // calls a minute, for each key
//	…
//	if err := limiter.Allow(ctx, ratelimit.Key{Client: tenant, Method: method}); err != nil {
//		return err // *resilience.RejectedError with RetryAfter
//	}
//
// A call passes two limits:
//
//   - a token bucket in this process, for bursts. What it refuses does not concern
//     Redis.
//   - a sliding window in Redis, for the long run: 60 s, counted in slices of
//     100 ms. One script reads and counts at once, so that no two processes can take
//     the same permit.
//
// # What is promised
//
// In any 60 s there are never more than limit calls of a key, wherever the 60 s
// begin, over all processes that reach Redis. That is exact, and not an
// approximation by two windows, because calls count for a little longer than the
// window: for the slice that they began in and for as long as a permit may be on
// its way or be held ([WithTimeout], [WithBatch]). With the defaults that is
// 60.1 to 60.2 s, so a client that uses its limit to the full gets at least 99.6 %
// of it.
//
// Time is the Redis server's. Clocks of processes do not matter; if that of a
// server jumps back, as after a failover, calls count for longer by that much, at
// most by a window. What a Redis loses in a restart or a failover is forgotten.
//
// # When Redis is away
//
// The token bucket alone decides, for each process by itself: all of them together
// may then exceed the limit, by a factor of their number at the most, and no call
// fails for want of Redis. A call that has to ask never waits for longer than
// [WithTimeout]. After three failures in a row nobody asks any more:
//
//	          3 failures in a row
//	┌───────┐ ──────────────────▶ ┌──────┐ ──┐ every second, one call
//	│ there │                     │ away │   │ has it looked after in
//	└───────┘ ◀────────────────── └──────┘ ◀─┘ the background
//	          an answer
//
// Of a cluster each part is there or away by itself. Observers are told once when
// the first goes away and once when the last is back; [Limiter.Snapshot] has counts
// and the last error. An error that Redis answers with (READONLY, OOM, NOPERM, …)
// is a failure like any other.
//
// # Redis
//
// Any version since 5, and what speaks its protocol, alone, behind Sentinel or as a
// cluster. A key takes 2.5 kB for as long as it has calls in the window, and then
// expires. Keys are named after a hash of limiter, client and method, so that
// nothing of a client's can be read in Redis or written into a key; they are spread
// over 64 hash tags. Processes that differ in window, slices or the times above
// count apart.
//
// A key that has used its limit costs Redis nothing until it has a permit again:
// the limiter remembers when that is.
//
// # Concurrency
//
// A Limiter is safe for concurrent use and has no goroutines but those that look
// after a Redis that is away, which end within the timeout. The client is the user's
// to close.
package redislimit
