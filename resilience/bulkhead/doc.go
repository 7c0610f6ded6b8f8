// SPDX-License-Identifier: Apache-2.0

// Package bulkhead bounds how many calls to one downstream service are under way,
// so that a slow one cannot take every goroutine and connection of the process.
//
//	b, err := bulkhead.New("payment", 20, bulkhead.WithQueue(50, 100*time.Millisecond))
//	…
//	permit, err := b.Allow(ctx)
//	if err != nil {
//		return err // refused (errors.Is(err, resilience.ErrOverloaded)), or ctx ended
//	}
//	defer permit.Done()
//
// Calls beyond the bound wait in a queue, if there is one, first come first
// served, for as long as it allows and their context lives:
//
//	              slot free
//	Allow ───────────────────────────▶ in flight ──Done──▶ the slot goes to the
//	  │  slots taken                       ▲               first in the queue
//	  ├──────────────────▶ queued ─────────┤ its turn
//	  │                                    ├─▶ refused: no slot in time
//	  └─▶ refused: the queue is full       └─▶ its context's error
//
// It is the client's counterpart of ratelimit.Concurrency, which protects a server
// from its callers. It does not find its bound by itself: package shed does.
//
// # Concurrency
//
// A Bulkhead is safe for concurrent use. It has one lock, which no other shares,
// and starts no goroutine. A call that does not wait costs no allocation.
package bulkhead
