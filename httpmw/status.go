// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/semconv"
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
	case code < 100 || code >= 500: // those of no class, too
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
	reasonAborted    = "aborted"    // the answer broke off because the handler wanted it
	reasonCanceled   = "canceled"   // the caller gave up
	reasonTimeout    = "timeout"    // time was over, whoever set the limit
	reasonRejected   = "rejected"   // a policy of this process refused; nothing was sent
	reasonDNS        = "dns"        // the host's name has no address
	reasonTLS        = "tls"        // no agreement on encryption or identity
	reasonConnection = "connection" // the host cannot be reached, or cut the connection
	reasonBody       = "body"       // the response broke off
)

// statuses are the record's view of every status, on one side. Each is made
// when it is first seen.
type statuses struct {
	server  bool
	known   [600]atomic.Pointer[record.HTTPStatus]
	refused [600]atomic.Pointer[record.HTTPStatus] // by a policy of this process
	timeout *record.HTTPStatus                     // 504 by a time limit of this process
}

var serverStatuses, clientStatuses = newStatuses(true), newStatuses(false)

func newStatuses(server bool) *statuses {
	return &statuses{server: server, timeout: record.NewHTTPStatus(server, http.StatusGatewayTimeout, resilience.OutcomeTimeout)}
}

// of returns the record's view of a status that ended call.
func (s *statuses) of(call *record.Call, code int) *record.HTTPStatus {
	switch {
	case code < 100 || code >= len(s.known): // no status code, though net/http lets it pass
		return record.NewHTTPFailure(code, semconv.Other, resilience.OutcomeServerFault)
	case code >= 400 && call.Refused():
		return s.made(&s.refused[code], code, resilience.OutcomeRejected)
	case code == http.StatusGatewayTimeout && call.TimedOut():
		return s.timeout
	default:
		return s.made(&s.known[code], code, OutcomeOf(code))
	}
}

func (s *statuses) made(place *atomic.Pointer[record.HTTPStatus], code int, outcome resilience.Outcome) *record.HTTPStatus {
	if known := place.Load(); known != nil {
		return known
	}
	st := record.NewHTTPStatus(s.server, code, outcome)
	place.Store(st)
	return st
}

// failureOf returns the record's view of an error that ended a request of a
// client: before there was a response, if code is 0, or in its body.
func failureOf(call *record.Call, code int, err error) *record.HTTPStatus {
	reason, outcome := reasonConnection, resilience.OutcomeTransient
	if code != 0 {
		reason = reasonBody
	}
	switch by := call.EndedBy(); {
	case call.Refused() || isRejection(err):
		reason, outcome = reasonRejected, resilience.OutcomeRejected
	case by == ctxutil.EndTimeout:
		reason, outcome = reasonTimeout, resilience.OutcomeTimeout
	case by == ctxutil.EndCallerDeadline:
		reason, outcome = reasonTimeout, resilience.OutcomeCallerDeadline
	case by != ctxutil.EndNone:
		reason, outcome = reasonCanceled, resilience.OutcomeCanceled
	case isTimeout(err): // of the connection: to dial, for the handshake, for the header
		reason, outcome = reasonTimeout, resilience.OutcomeTimeout
	case isDNS(err):
		reason = reasonDNS
	case isTLS(err):
		reason = reasonTLS
	}
	return record.NewHTTPFailure(code, reason, outcome)
}

// isRejection reports whether a policy of this process refused to send.
func isRejection(err error) bool {
	if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return !e.Remote
	}
	return errors.Is(err, ctxutil.ErrBudgetExhausted) || errors.Is(err, ErrPlaintext)
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// isTLS takes the errors of a handshake together. Those that the other side
// tells have no type of their own, but an operation of this name.
func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	e, ok := errors.AsType[*net.OpError](err)
	return ok && (e.Op == "remote error" || e.Op == "local error")
}
