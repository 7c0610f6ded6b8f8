// SPDX-License-Identifier: Apache-2.0

package interceptors

// What adapters of policies ask about errors of calls.
var (
	PushbackOf    = pushbackOf
	Reconstructed = reconstructed
	OutcomeOfCall = outcomeOf
)
