// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// AttemptTransport returns the transport that makes the attempts of a request
// visible: below [PoliciesTransport], [RetryTransport] or [HedgeTransport], and with
// [RecordTransport](r) above them, each attempt that is sent is an observation of
// http_client_attempt_duration_seconds and, if the request's span is recorded, a span
// that is a child of it and the parent of the called server's. The log line of a
// request that needed several says how many.
//
// An attempt ends as a record does, with the response's body. Without a record of r
// above, it does nothing. It panics if r is nil.
func AttemptTransport(r *record.Recorder) Transport {
	if r == nil {
		panic("httpmw: AttemptTransport: nil recorder")
	}
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			return sendAttempt(r, next, req)
		})
	}
}

func sendAttempt(r *record.Recorder, next http.RoundTripper, req *http.Request) (*http.Response, error) {
	call := record.FromContext(req.Context())
	ctx, a := r.StartAttempt(req.Context())
	if a == nil {
		return next.RoundTrip(req)
	}
	a.Begin(false)
	sent := req
	if call.Recording() {
		sent = req.WithContext(ctx)
		sent.Header = cloneHeader(req.Header)
		setAttempt(sent.Header, a)
	}
	returned := false
	defer func() {
		if !returned { // a panic, which goes on, or runtime.Goexit
			a.FinishHTTP(record.NewHTTPFailure(0, reasonPanic, resilience.OutcomeServerFault), "panic")
		}
	}()
	resp, err := next.RoundTrip(sent)
	returned = true
	if err != nil {
		a.FinishHTTP(attemptFailure(ctx, 0, err), err.Error())
		return nil, err
	}
	finishAttempt(ctx, a, clientStatuses.of(call, resp.StatusCode), resp)
	return resp, nil
}

// finishAttempt finishes the attempt when the response's body is over.
func finishAttempt(ctx context.Context, a *record.Attempt, s *record.HTTPStatus, resp *http.Response) {
	code := resp.StatusCode
	stop := context.AfterFunc(ctx, func() {
		a.FinishHTTP(attemptFailure(ctx, code, ctx.Err()), context.Cause(ctx).Error())
	})
	watchBody(resp, nil, func(err error) {
		stop()
		switch {
		case err != nil:
			a.FinishHTTP(attemptFailure(ctx, code, err), fmt.Sprint("reading the body: ", err))
		case s.Outcome() != resilience.OutcomeOK:
			a.FinishHTTP(s, http.StatusText(code))
		default:
			a.FinishHTTP(s, "")
		}
	})
}

// attemptFailure returns the record's view of an error that ended an attempt made
// with ctx: before there was a response, if code is 0, or in its body.
func attemptFailure(ctx context.Context, code int, err error) *record.HTTPStatus {
	reason, outcome := failure(isRejection(err), ctxutil.EndedBy(ctx), err)
	if code != 0 && reason == reasonConnection {
		reason = reasonBody
	}
	return record.NewHTTPFailure(code, reason, outcome)
}

// setAttempt writes the attempt's identity into h, in place of the call's.
func setAttempt(h http.Header, a *record.Attempt) {
	if out := a.Outgoing(); out.Traceparent != "" {
		h[ctxutil.HeaderTraceparent] = []string{out.Traceparent}
		delete(h, ctxutil.HeaderTracestate)
		if out.Tracestate != "" {
			h[ctxutil.HeaderTracestate] = []string{out.Tracestate}
		}
	}
	a.Inject(func() ctxutil.Carrier { return ctxutil.HTTPCarrier(h) })
}
