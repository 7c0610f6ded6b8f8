// SPDX-License-Identifier: Apache-2.0

package resilience

// Outcome says how a call ended and whose doing that was. Every call has
// exactly one. The zero value is [OutcomeOK].
type Outcome uint8

// The outcomes. Their order is not meaningful.
const (
	// OutcomeOK: the call did what it was asked to do.
	OutcomeOK Outcome = iota
	// OutcomeClientFault: the request was at fault (a 4xx, InvalidArgument,
	// NotFound, PermissionDenied, …). It fails again if it is sent again, and
	// says nothing about the server's health.
	OutcomeClientFault
	// OutcomeServerFault: the server, or one behind it, failed in a way that is its
	// own (500, 502, Internal, Unknown, DataLoss, a panic).
	OutcomeServerFault
	// OutcomeTransient: the server could not be reached, or asked to try
	// again (Unavailable, 503, Aborted).
	OutcomeTransient
	// OutcomeOverload: the server refused because it has too much to do
	// (ResourceExhausted, 429).
	OutcomeOverload
	// OutcomeCanceled: the caller gave up. Nobody is to blame.
	OutcomeCanceled
	// OutcomeCallerDeadline: the deadline that came with the call passed.
	OutcomeCallerDeadline
	// OutcomeTimeout: a time limit of ours passed while the caller still waited.
	OutcomeTimeout
	// OutcomeRejected: a policy of this process refused the call before it was
	// sent or handled: breaker open, limit reached, shed, budget spent.
	OutcomeRejected

	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"ok", "client_fault", "server_fault", "transient", "overload",
	"canceled", "caller_deadline", "timeout", "rejected",
}

// String returns the outcome's name as it stands in log lines and labels, for
// instance "client_fault".
func (o Outcome) String() string {
	if o < numOutcomes {
		return outcomeNames[o]
	}
	return "invalid"
}

// IsFault reports whether an operator should care about a single call that
// ended so: everything but success, the client's own faults and the caller's
// giving up.
func (o Outcome) IsFault() bool {
	return o != OutcomeOK && o != OutcomeClientFault && o != OutcomeCanceled
}
