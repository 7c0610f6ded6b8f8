// SPDX-License-Identifier: Apache-2.0

// Package servertest holds Fairlead against the real servers it writes to or
// reads from, started by the tests on loopback and stopped by them. It has
// nothing but tests. A server whose program is not installed is skipped by
// name; with CI set that is an error.
package servertest
