// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

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
		http.StatusServiceUnavailable: // 503
		return resilience.OutcomeTransient
	case http.StatusGatewayTimeout: // 504
		return resilience.OutcomeCallerDeadline
	case StatusClientClosedRequest: // 499
		return resilience.OutcomeCanceled
	}
	switch {
	case code < 100 || code >= 500: // those of no class, too; and 502: whoever is behind that server failed
		return resilience.OutcomeServerFault
	case code >= 400:
		return resilience.OutcomeClientFault
	default:
		return resilience.OutcomeOK
	}
}

// isWorthRetry reports whether a request that may be repeated is worth another
// attempt though its status is a fault of the server's: one that is in what was
// asked comes again, but many are in who was asked.
func isWorthRetry(code int) bool {
	return code == http.StatusInternalServerError || code == http.StatusBadGateway
}

// rejection is how a refusal by a policy travels.
type rejection struct {
	code  int
	title string
}

// rejections are the statuses of refusals, by policy. Callers that know nothing of
// Fairlead act upon the status: what was too much of the caller is 429, and what
// is worth a try elsewhere is 503.
var rejections = map[resilience.Policy]rejection{
	resilience.PolicyBreaker:     {http.StatusServiceUnavailable, "circuit breaker open"},
	resilience.PolicyRateLimit:   {http.StatusTooManyRequests, "rate limited"},
	resilience.PolicyConcurrency: {http.StatusTooManyRequests, "too many requests at once"},
	resilience.PolicyBulkhead:    {http.StatusServiceUnavailable, "bulkhead full"},
	resilience.PolicyShed:        {http.StatusServiceUnavailable, "overloaded"},
	resilience.PolicyDeadline:    {http.StatusGatewayTimeout, "deadline budget exhausted"},
	resilience.PolicyDiscovery:   {http.StatusServiceUnavailable, "no endpoints"},
}

// rejectionOf returns how a refusal by p travels. A policy that refuses nothing
// by itself, or is not ours, is 503: nothing was done.
func rejectionOf(p resilience.Policy) rejection {
	if r, ok := rejections[p]; ok {
		return r
	}
	return rejection{http.StatusServiceUnavailable, "rejected"}
}

// statusOf returns the status that tells a caller of err, which is no refusal.
func statusOf(err error) int {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return statusBehind(e.StatusCode)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// statusBehind returns the status of a server whose request could not be answered
// because another server answered code.
func statusBehind(code int) int {
	switch OutcomeOf(code) {
	case resilience.OutcomeTransient, resilience.OutcomeOverload:
		return http.StatusServiceUnavailable
	case resilience.OutcomeCallerDeadline:
		return http.StatusGatewayTimeout
	case resilience.OutcomeServerFault:
		return http.StatusBadGateway
	default: // what was asked for was wrong, and we asked
		return http.StatusInternalServerError
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
	timeout *record.HTTPStatus                     // 504 by another limit than the caller's
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
	case code == http.StatusGatewayTimeout && (call.TimedOut() || call.EndedBy() == ctxutil.EndNone && hasTime(call)):
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

// deadlineSlack is how much earlier than a client's clock its server's may find
// that time is over.
const deadlineSlack = 10 * time.Millisecond

// hasTime reports whether ctx, a request's, has time left: if somebody says that
// time was over, it was by a limit of this process or, on clients, of the server's.
func hasTime(ctx context.Context) bool {
	left, limited := ctxutil.Remaining(ctx)
	return ctx.Err() == nil && (!limited || left > deadlineSlack)
}

// outcomeOf returns how an attempt ended that was made with ctx: by the answer or,
// if there is none, by err.
func outcomeOf(ctx context.Context, resp *http.Response, err error) resilience.Outcome {
	if err != nil {
		_, outcome := failure(isRejection(err), ctxutil.EndedBy(ctx), err)
		return outcome
	}
	if resp.StatusCode == http.StatusGatewayTimeout && (hasTime(ctx) || ctxutil.DeadlineIsOwn(ctx)) {
		return resilience.OutcomeTimeout
	}
	return OutcomeOf(resp.StatusCode)
}

// failureOf returns the record's view of an error that ended a request of a
// client: before there was a response, if code is 0, or in its body.
func failureOf(call *record.Call, code int, err error) *record.HTTPStatus {
	reason, outcome := failure(call.Refused() || isRejection(err), call.EndedBy(), err)
	if code != 0 && reason == reasonConnection {
		reason = reasonBody
	}
	return record.NewHTTPFailure(code, reason, outcome)
}

// failure returns why there is no answer, or not all of it.
func failure(refused bool, by ctxutil.End, err error) (reason string, outcome resilience.Outcome) {
	switch {
	case refused:
		return reasonRejected, resilience.OutcomeRejected
	case by == ctxutil.EndTimeout:
		return reasonTimeout, resilience.OutcomeTimeout
	case by == ctxutil.EndCallerDeadline:
		return reasonTimeout, resilience.OutcomeCallerDeadline
	case by != ctxutil.EndNone:
		return reasonCanceled, resilience.OutcomeCanceled
	case isTimeout(err): // of the connection: to dial, for the handshake, for the header
		return reasonTimeout, resilience.OutcomeTimeout
	case isDNS(err):
		return reasonDNS, resilience.OutcomeTransient
	case isTLS(err):
		return reasonTLS, resilience.OutcomeTransient
	default:
		return reasonConnection, resilience.OutcomeTransient
	}
}

// isRejection reports whether a policy of this process refused to send.
func isRejection(err error) bool {
	if e, ok := errors.AsType[*resilience.RejectedError](err); ok {
		return !e.Remote
	}
	return errors.Is(err, ctxutil.ErrBudgetExhausted) || errors.Is(err, ErrPlaintext)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) { // that of an attempt is no net.Error
		return true
	}
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
