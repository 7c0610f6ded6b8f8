// SPDX-License-Identifier: Apache-2.0

// Package resilience holds the one vocabulary in which Fairlead speaks of how
// a call ended: the [Outcome]. The request log chooses its level by it, spans
// their status, and policies whether to retry, to count and to trip.
//
// The package knows no transport. Exactly two tables turn codes into outcomes:
// status.go in package interceptors for gRPC, and status.go in package httpmw
// for HTTP.
//
//	switch outcome {
//	case resilience.OutcomeTransient, resilience.OutcomeOverload:
//		// may go away by itself
//	case resilience.OutcomeClientFault:
//		// will fail the same way next time
//	}
package resilience
