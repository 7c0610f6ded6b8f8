// SPDX-License-Identifier: Apache-2.0

// Package chaos makes the shop misbehave on request: a database that is slow or
// down, a payment provider that fails, flaps, is overloaded or asks to be left
// alone, a handler with a bug.
//
//	faults, err := chaos.Parse("db=slow:50ms,payment=flap:2s/3s")
//	trouble := chaos.Begin(faults["payment"])
//	err = trouble.Strike(ctx) // fails in the first two of every five seconds
//
// A [Fault] says what is wrong, a [Trouble] is that at work.
//
// It is the only package of the shop that a real shop would leave out.
package chaos
