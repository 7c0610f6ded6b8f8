// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// This file is the only place that says what an HTTP status means.

// StatusClientClosedRequest is what is recorded of a request whose caller went
// away before it was answered. It is never sent: there is nobody to read it.
// The number is nginx's.
const StatusClientClosedRequest = 499

// OutcomeOf returns what a status code means, as far as the code alone can
// tell. Classes decide, except for the codes that say something else than
// their class does.
func OutcomeOf(code int) resilience.Outcome {
	switch code {
	case http.StatusTooManyRequests: // 429
		return resilience.OutcomeOverload
	case http.StatusTooEarly, // 425: the same request may succeed in a moment
		http.StatusBadGateway,         // 502
		http.StatusServiceUnavailable: // 503
		return resilience.OutcomeTransient
	case http.StatusGatewayTimeout: // 504
		return resilience.OutcomeCallerDeadline
	case StatusClientClosedRequest: // 499
		return resilience.OutcomeCanceled
	}
	switch {
	case code < 100 || code >= 500:
		return resilience.OutcomeServerFault
	case code >= 400:
		return resilience.OutcomeClientFault
	default:
		return resilience.OutcomeOK
	}
}

// Reasons a request fails otherwise than by its status: values of error.type,
// the same few on every platform.
const (
	reasonPanic      = "panic"
	reasonAborted    = "aborted"
	reasonCanceled   = "canceled"
	reasonTimeout    = "timeout"
	reasonConnection = "connection"
	reasonDNS        = "dns"
	reasonBody       = "body"
)

// statuses are the record's view of every status, on one side. Each is made
// when it is first seen; what is no status code shares one.
type statuses struct {
	server bool
	known  [600]atomic.Pointer[record.HTTPStatus]
	// own is 504 by a time limit of this process.
	own *record.HTTPStatus
}

var serverStatuses, clientStatuses = newStatuses(true), newStatuses(false)

func newStatuses(server bool) *statuses {
	return &statuses{server: server, own: record.NewHTTPStatus(server, http.StatusGatewayTimeout, resilience.OutcomeTimeout)}
}

// of returns the record's view of a status that ended call.
func (s *statuses) of(call *record.Call, code int) *record.HTTPStatus {
	if code == http.StatusGatewayTimeout && call.TimedOut() {
		return s.own
	}
	if code < 0 || code >= len(s.known) {
		code = 0
	}
	if known := s.known[code].Load(); known != nil {
		return known
	}
	made := record.NewHTTPStatus(s.server, code, OutcomeOf(code))
	s.known[code].Store(made)
	return made
}

// failureOf returns the record's view of an error that ended a client call
// before there was an answer.
func failureOf(call *record.Call, ctx context.Context, err error) *record.HTTPStatus {
	switch {
	case errors.Is(err, ctxutil.ErrBudgetExhausted):
		return record.NewHTTPFailure(0, reasonTimeout, resilience.OutcomeRejected)
	case call.TimedOut() || ctxutil.EndedBy(ctx) == ctxutil.EndTimeout:
		return record.NewHTTPFailure(0, reasonTimeout, resilience.OutcomeTimeout)
	case errors.Is(ctx.Err(), context.Canceled):
		return record.NewHTTPFailure(0, reasonCanceled, resilience.OutcomeCanceled)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return record.NewHTTPFailure(0, reasonTimeout, resilience.OutcomeCallerDeadline)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return record.NewHTTPFailure(0, reasonTimeout, resilience.OutcomeTimeout)
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return record.NewHTTPFailure(0, reasonDNS, resilience.OutcomeTransient)
	}
	return record.NewHTTPFailure(0, reasonConnection, resilience.OutcomeTransient)
}
