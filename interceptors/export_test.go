// SPDX-License-Identifier: Apache-2.0

package interceptors

// What adapters of policies ask about errors of calls.
var (
	PushbackOf    = pushbackOf
	Reconstructed = reconstructed
	OutcomeOfCall = outcomeOf
)

// BasesKept returns how many statuses of refusals are kept.
func BasesKept() (n int) {
	bases.Range(func(any, any) bool { n++; return true })
	return n
}
