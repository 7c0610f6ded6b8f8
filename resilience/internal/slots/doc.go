// SPDX-License-Identifier: Apache-2.0

// Package slots is a counting semaphore with a bounded, fair queue: what a
// bulkhead and a concurrency limit have in common.
//
//	            free slot, nobody waits
//	Acquire ──────────────────────────────▶ Granted ──Done──▶ slot goes to the
//	   │                                       ▲              head of the queue,
//	   │ no slot, room in the queue            │ its turn     or is free
//	   ├───────────────────────▶ waits ────────┤
//	   │                                       ├─▶ Expired  (its wait is over)
//	   └─▶ Full                                └─▶ Ended    (its context is over)
package slots
