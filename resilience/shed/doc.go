// SPDX-License-Identifier: Apache-2.0

// Package shed refuses calls that a process has no capacity for, and finds out by
// itself how much that is.
//
//	s, err := shed.New("orders")
//	…
//	lease, err := s.Allow(ctx, shed.PriorityNormal)
//	if err != nil {
//		return err // *resilience.RejectedError; errors.Is(err, resilience.ErrOverloaded)
//	}
//	defer lease.Release() // whatever happens: panic, Goexit, an early return
//	… handle …
//	lease.Done(ctx, outcome)
//
// [Shedder.Do] does these steps for a function. It limits calls under way, not
// calls per time; for those there is package ratelimit. A fixed number of calls
// under way is package bulkhead's. It never queues: in an overload, waiting only
// moves the queue.
//
// # How the limit is found
//
// A server with W workers that needs S for a call is used to the full by W calls at
// once. More of them wait for each other, and a call takes S × calls / W. So the
// limit follows the gradient of the latency: at the end of each window it becomes
//
//	limit × (tolerance × unloaded latency + slack) / latency + √limit
//
// smoothed, where the latencies are means and the root is room to grow. Equilibrium
// is a little above tolerance × W: enough to keep all workers busy, and no call
// takes much longer than the tolerance allows.
//
// The unloaded latency is what calls take while less than half of the limit is in
// use. When that does not happen, it is measured on purpose:
//
//	           window over                        still a queue: halve again
//	┌────────┐ ────────▶ limit follows            ┌──────────────┐
//	│ steady │           the gradient             ▼              │
//	└────────┘                               ┌─────────┐ ────────┘
//	     │  no measurement yet, probe        │ probing │
//	     ├─ interval over, or limit far  ──▶ └─────────┘
//	     │  below that of the last probe          │ halving did not shorten calls
//	     │                                        │ in proportion: no queue is left
//	     └◀───────────────────────────────────────┘
//
// If calls have become slower for other reasons than waiting for each other, such
// as a slow database, halving the limit does not make them faster; a probe finds
// that out, and the limit recovers.
//
// # What feeds it
//
//	ok, client fault             latency
//	timeout, caller's deadline   latency, if longer than usual: a call that was
//	                             cut short says only that it took at least so long
//	canceled, rejected,
//	overload, transient,
//	server fault                 nothing: failures are fast, or slow, for reasons
//	                             of their own
//
// Calls that began before the limit last moved do not count either. A shedder
// works best for calls that are alike: give work of a very different kind, such as
// reports or long polls, one of its own, and release the lease of a stream rather
// than report it, for it lasts as long as both sides like.
//
// # CPU
//
// Above a target share of the CPU that the process may use, a second limit goes
// down by a tenth at each sample, and up again below it; the smaller of the two
// limits holds. What the process may use is the quota of its control group (Linux,
// cgroup v2 and v1), else GOMAXPROCS cores. Where CPU time cannot be read,
// [Snapshot] says so, observers are told once, and latency alone decides.
//
// # Priorities
//
//	sheddable   may use three quarters of the limit
//	normal      the limit
//	critical    half as much again, at least one call more
//	health      twice the limit, at least two calls more
//
// Each may use at least one slot, also when the limit is 1. So in an overload
// sheddable calls are refused first, and critical ones only when they are too many
// by themselves.
//
// # Concurrency and cost
//
// A Shedder is safe for concurrent use, has one lock and no goroutine of its own;
// every CPU sample, one call starts one that ends at once. Admitting a call costs
// no allocation, refusing one costs the error.
package shed
