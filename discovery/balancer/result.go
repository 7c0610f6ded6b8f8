// SPDX-License-Identifier: Apache-2.0

package balancer

// Result is what a call says about the endpoint that it was sent to. The zero value is
// [OK].
type Result uint8

// The results.
const (
	// OK: the endpoint answered. An answer that finds fault with the request (404,
	// InvalidArgument) is one.
	OK Result = iota
	// Failed: the endpoint answered that it could not, did not answer in time, or
	// the connection broke.
	Failed
	// Unreachable: there was no connection, and none could be made; or it broke in a
	// way that tells of the endpoint's end. It is out of picks at once, for the
	// time of [WithBackoff].
	Unreachable
	// Overload: the endpoint refused the call because it has too much to do. It counts as
	// a failure for the choice of the next, and not for ejection: who says so is well.
	Overload
	// Ignored: the call says nothing about the endpoint: it was never sent, or the
	// caller gave up.
	Ignored

	numResults
)

var resultNames = [numResults]string{"ok", "failed", "unreachable", "overload", "ignored"}

// String returns "ok", "failed", "unreachable", "overload" or "ignored", as in labels.
func (r Result) String() string {
	if r < numResults {
		return resultNames[r]
	}
	return "invalid"
}
