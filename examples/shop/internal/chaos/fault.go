// SPDX-License-Identifier: Apache-2.0

package chaos

import "time"

// The dependencies that can be made to fail.
const (
	DB        = "db"
	Inventory = "inventory"
	Payment   = "payment"
)

// Fault is what is wrong with one dependency. The zero value is a healthy one.
type Fault struct {
	// Slow adds a delay to some calls.
	Slow Slow
	// FailRate is the fraction of calls that fail, 0 to 1.
	FailRate float64
	// LoseRate is the fraction of calls that do what they are asked to do, and
	// whose answer is lost.
	LoseRate float64
	// Flap makes the dependency fail and recover in turn.
	Flap Flap
	// Overload gives the dependency a capacity.
	Overload Overload
	// Away makes the dependency ask to be left alone for a while, in turn with
	// serving as long.
	Away Away
}

// Slow is a delay that is added to a fraction of the calls, above 0 and at most 1.
// A tail of latencies is a small fraction.
type Slow struct {
	Delay    time.Duration
	Fraction float64
}

// Flap is a dependency that fails every call for a time and is then well for a
// time, over and over. It begins with failing.
type Flap struct {
	Failing, Well time.Duration
}

// Overload is a dependency that serves a number of calls a second, with [Workers]
// workers and an endless queue: see [Trouble.Strike].
type Overload struct {
	PerSecond float64
}

// Away is a dependency that turns a fraction of its calls away, above 0 and at
// most 1, for a time at a stretch, and says when that will be over. Then it
// serves all for as long.
type Away struct {
	For      time.Duration
	Fraction float64
}
