// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// This file is the only place that says what a gRPC status means.

var outcomes = [...]resilience.Outcome{
	codes.OK:                 resilience.OutcomeOK,
	codes.Canceled:           resilience.OutcomeCanceled,
	codes.Unknown:            resilience.OutcomeServerFault,
	codes.InvalidArgument:    resilience.OutcomeClientFault,
	codes.DeadlineExceeded:   resilience.OutcomeCallerDeadline,
	codes.NotFound:           resilience.OutcomeClientFault,
	codes.AlreadyExists:      resilience.OutcomeClientFault,
	codes.PermissionDenied:   resilience.OutcomeClientFault,
	codes.ResourceExhausted:  resilience.OutcomeOverload,
	codes.FailedPrecondition: resilience.OutcomeClientFault,
	codes.Aborted:            resilience.OutcomeTransient,
	codes.OutOfRange:         resilience.OutcomeClientFault,
	codes.Unimplemented:      resilience.OutcomeClientFault,
	codes.Internal:           resilience.OutcomeServerFault,
	codes.Unavailable:        resilience.OutcomeTransient,
	codes.DataLoss:           resilience.OutcomeServerFault,
	codes.Unauthenticated:    resilience.OutcomeClientFault,
}

// OutcomeOf returns what a status code means, as far as the code alone can
// tell. A code that gRPC does not define is a server fault.
func OutcomeOf(code codes.Code) resilience.Outcome {
	if int(code) < len(outcomes) {
		return outcomes[code]
	}
	return resilience.OutcomeServerFault
}

// statuses are the record's view of every code, on one side.
type statuses struct {
	known   [len(outcomes)]*record.RPCStatus
	other   *record.RPCStatus // a code gRPC does not define
	timeout *record.RPCStatus // DEADLINE_EXCEEDED by a limit of our own
	refused *record.RPCStatus // DEADLINE_EXCEEDED before the call was sent or handled
}

var serverStatuses, clientStatuses = newStatuses(true), newStatuses(false)

func newStatuses(server bool) *statuses {
	s := &statuses{
		other:   record.NewRPCStatus(server, uint32(len(outcomes)), resilience.OutcomeServerFault),
		timeout: record.NewRPCStatus(server, uint32(codes.DeadlineExceeded), resilience.OutcomeTimeout),
		refused: record.NewRPCStatus(server, uint32(codes.DeadlineExceeded), resilience.OutcomeRejected),
	}
	for code, outcome := range outcomes {
		s.known[code] = record.NewRPCStatus(server, uint32(code), outcome)
	}
	return s
}

// of returns the record's view of the error that ended call, and the status
// that it is to a peer, which is nil if err is.
func (s *statuses) of(call *record.Call, err error) (*record.RPCStatus, *status.Status) {
	if err == nil {
		return s.known[codes.OK], nil
	}
	st := statusOf(err)
	if st.Code() == codes.Canceled && isLate(call) {
		st = status.FromContextError(context.DeadlineExceeded)
	}
	if st.Code() == codes.DeadlineExceeded {
		switch {
		case call.Refused():
			return s.refused, st
		case call.TimedOut():
			return s.timeout, st
		}
	}
	return s.ofCode(st.Code()), st
}

func (s *statuses) ofCode(code codes.Code) *record.RPCStatus {
	if int(code) < len(s.known) {
		return s.known[code]
	}
	return s.other
}

// deadlineSlack is how much earlier than its server's clock a client's may run
// out: what the request was on its way longer than the news of its end.
const deadlineSlack = 10 * time.Millisecond

// isLate reports whether a call that was cancelled ran out of time: a gRPC
// client whose deadline passes resets the stream, which a server that has not
// yet noticed the deadline takes for a caller who gave up.
func isLate(call *record.Call) bool {
	left, ok := ctxutil.Remaining(call)
	return ok && call.Kind().IsServer() && call.Err() != nil && left <= deadlineSlack
}

// statusOf returns the status that err carries, with context errors and
// refusals of ours translated as grpc-go itself does not: a handler that
// returns its context's error means Canceled or DeadlineExceeded, not Unknown.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(contextError(err))
	}
	return status.New(codes.Unknown, err.Error())
}

// contextError returns the context error inside err.
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Canceled
}
