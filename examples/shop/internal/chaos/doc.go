// SPDX-License-Identifier: Apache-2.0

// Package chaos makes the shop misbehave on request: a database that is slow or
// down, a payment provider that fails, a handler with a bug.
//
//	faults, err := chaos.Parse("db=slow:50ms,payment=fail:0.2")
//	err = faults["payment"].Strike(ctx) // waits, and fails one call in five
//
// It is the only package of the shop that a real shop would leave out.
package chaos
