// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"strings"
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

// rejection is how a refusal by a policy travels.
type rejection struct {
	code codes.Code
	// reason is the ErrorInfo.reason that names the policy on the wire.
	reason string
	// message is all that a peer is told in words.
	message string
}

// rejections are the codes and the reasons of refusals, by policy. Callers that
// know nothing of Fairlead act upon the code: what is worth a try elsewhere is
// Unavailable, and what was too much of the caller is ResourceExhausted.
var rejections = map[resilience.Policy]rejection{
	resilience.PolicyBreaker:     {codes.Unavailable, "BREAKER_OPEN", "circuit breaker open"},
	resilience.PolicyRateLimit:   {codes.ResourceExhausted, "RATE_LIMITED", "rate limited"},
	resilience.PolicyConcurrency: {codes.ResourceExhausted, "CONCURRENCY_LIMITED", "too many calls at once"},
	resilience.PolicyBulkhead:    {codes.Unavailable, "BULKHEAD_FULL", "bulkhead full"},
	resilience.PolicyShed:        {codes.Unavailable, "OVERLOADED", "overloaded"},
	resilience.PolicyDeadline:    {codes.DeadlineExceeded, "DEADLINE_BUDGET_EXHAUSTED", "deadline budget exhausted"},
	resilience.PolicyDiscovery:   {codes.Unavailable, "NO_ENDPOINTS", "no endpoints"},
}

// rejectionOf returns how a refusal by p travels. A policy that refuses nothing
// by itself, or is not ours, is Unavailable: nothing was done.
func rejectionOf(p resilience.Policy) rejection {
	if r, ok := rejections[p]; ok {
		return r
	}
	return rejection{codes.Unavailable, "REJECTED", "rejected"}
}

// statuses are the record's view of every code, on one side.
type statuses struct {
	known   [len(outcomes)]*record.RPCStatus
	refused [len(outcomes)]*record.RPCStatus // by a policy of this process
	other   *record.RPCStatus                // a code gRPC does not define
	timeout *record.RPCStatus                // DEADLINE_EXCEEDED by another limit than the caller's
	large   *record.RPCStatus                // RESOURCE_EXHAUSTED by the size of a message
}

var serverStatuses, clientStatuses = newStatuses(true), newStatuses(false)

func newStatuses(server bool) *statuses {
	s := &statuses{
		other:   record.NewRPCStatus(server, uint32(len(outcomes)), resilience.OutcomeServerFault),
		timeout: record.NewRPCStatus(server, uint32(codes.DeadlineExceeded), resilience.OutcomeTimeout),
		large:   record.NewRPCStatus(server, uint32(codes.ResourceExhausted), resilience.OutcomeClientFault),
	}
	for code, outcome := range outcomes {
		s.known[code] = record.NewRPCStatus(server, uint32(code), outcome)
		s.refused[code] = record.NewRPCStatus(server, uint32(code), resilience.OutcomeRejected)
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
	if remote, ok := err.(*remoteError); ok && call.Kind().IsServer() { //nolint:errorlint // what is around it is taken off by statusOf
		st = statusOfRejection(remote.rejected) // what else the peer says is for us, and not for our caller
	}
	if refused := call.Refused() || !call.Kind().IsServer() && isRefused(err); refused && int(st.Code()) < len(s.refused) {
		return s.refused[st.Code()], st
	}
	if st.Code() == codes.Canceled && isLate(call) {
		st = status.FromContextError(context.DeadlineExceeded)
	}
	switch {
	case st.Code() == codes.DeadlineExceeded && (call.TimedOut() || hasTime(call)):
		return s.timeout, st
	case isTooLarge(st):
		return s.large, st
	default:
		return s.ofCode(st.Code()), st
	}
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

// hasTime reports whether ctx, a call's, has time left: if somebody says that time
// was over, it was by a limit of this process or, on clients, of the server's.
func hasTime(ctx context.Context) bool {
	left, limited := ctxutil.Remaining(ctx)
	return ctx.Err() == nil && (!limited || left > deadlineSlack)
}

// outcomeOf returns how an attempt ended that was made with ctx and returned err.
// Where the code says that time was over, or that somebody gave up, ctx knows
// who it was.
func outcomeOf(ctx context.Context, err error) resilience.Outcome {
	if err == nil {
		return resilience.OutcomeOK
	}
	if isRefused(err) {
		return resilience.OutcomeRejected
	}
	st := statusOf(err)
	switch code := st.Code(); {
	case code == codes.DeadlineExceeded, code == codes.Canceled:
		return outcomeOfEnd(ctx, code)
	case isTooLarge(st):
		return resilience.OutcomeClientFault
	default:
		return OutcomeOf(code)
	}
}

func outcomeOfEnd(ctx context.Context, code codes.Code) resilience.Outcome {
	switch ctxutil.EndedBy(ctx) {
	case ctxutil.EndTimeout:
		return resilience.OutcomeTimeout
	case ctxutil.EndCallerDeadline:
		return resilience.OutcomeCallerDeadline
	case ctxutil.EndNone:
	default:
		return resilience.OutcomeCanceled
	}
	switch {
	case code == codes.Canceled:
		return resilience.OutcomeCanceled
	case hasTime(ctx), ctxutil.DeadlineIsOwn(ctx):
		return resilience.OutcomeTimeout
	default: // the server noticed our caller's deadline a moment before we do
		return resilience.OutcomeCallerDeadline
	}
}

// isTooLarge reports whether grpc-go itself, here or at the peer, refused a message
// for its size: the code is that of a server that has too much to do, but the
// message will be too large the next time, too. Only the text tells.
func isTooLarge(st *status.Status) bool {
	if st.Code() != codes.ResourceExhausted {
		return false
	}
	return strings.HasPrefix(st.Message(), "grpc: received message larger than max") ||
		strings.HasPrefix(st.Message(), "grpc: received message after decompression larger than max") ||
		strings.HasPrefix(st.Message(), "grpc: message after decompression larger than max") ||
		strings.HasPrefix(st.Message(), "trying to send message larger than max")
}

// isRefused reports whether a policy of this process refused the call that ended
// with err.
func isRefused(err error) bool {
	if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return !e.Remote
	}
	return errors.Is(err, ctxutil.ErrBudgetExhausted)
}

// statusOf returns the status that err carries, with context errors and
// refusals of ours translated as grpc-go itself does not: a handler that
// returns its context's error means Canceled or DeadlineExceeded, not Unknown,
// and of a refusal or of attempts made in vain the peer learns no more than it
// can make use of, whatever stands around them.
func statusOf(err error) *status.Status {
	if own, ok := err.(interface{ GRPCStatus() *status.Status }); ok { // what a handler made last it means
		if st := own.GRPCStatus(); st.Code() != codes.OK {
			return st
		}
	}
	if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return statusOfRejection(e)
	}
	if errors.Is(err, ctxutil.ErrBudgetExhausted) {
		return statusOfRejection(&resilience.RejectedError{Policy: resilience.PolicyDeadline})
	}
	if e, ok := errors.AsType[answered](err); ok {
		return statusBehind(e.Outcome())
	}
	if e, ok := errors.AsType[*resilience.AttemptsError](err); ok && e.Last != nil {
		return statusOf(e.Last)
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return status.FromContextError(contextError(err))
	}
	return status.New(codes.Unknown, err.Error())
}

// answered is an error that was the answer of a server over another protocol, such as
// package httpmw's StatusError, and says what that means.
type answered interface {
	error
	Outcome() resilience.Outcome
}

// statusBehind returns the status of a call that could not be answered because another
// server's answer meant o. Whose it was is not the peer's business.
func statusBehind(o resilience.Outcome) *status.Status {
	switch o {
	case resilience.OutcomeTransient, resilience.OutcomeOverload:
		return status.New(codes.Unavailable, "upstream unavailable")
	case resilience.OutcomeCallerDeadline, resilience.OutcomeTimeout:
		return status.New(codes.DeadlineExceeded, "upstream timed out")
	case resilience.OutcomeServerFault:
		return status.New(codes.Unknown, "upstream failed")
	default: // what was asked for was wrong, and we asked
		return status.New(codes.Internal, "internal error")
	}
}

// contextError returns the context error inside err.
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Canceled
}
