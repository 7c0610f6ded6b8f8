// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// RecordTransport returns the transport that makes the record of every request
// sent, with r. It comes first in a chain. name is the downstream service's
// name, as spans, metrics and log lines have it; empty means the URL's host.
//
// The record is finished when the response's body is over: read to its end,
// closed, or ended with the request's context. A response whose body is
// neither read nor closed holds its connection and its record; that is a bug
// of the caller's with any client.
func RecordTransport(r *record.Recorder, name string) Transport {
	if r == nil {
		panic("httpmw: RecordTransport: nil recorder")
	}
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			return sendRecorded(r, name, next, req)
		})
	}
}

func sendRecorded(r *record.Recorder, name string, next http.RoundTripper, req *http.Request) (*http.Response, error) {
	call := r.StartHTTPClient(req, name)
	sent := req.WithContext(call)
	sent.Header = cloneHeader(req.Header)
	setIdentity(sent.Header, call)

	returned := false
	defer func() {
		if !returned { // a panic, which goes on, or runtime.Goexit
			call.FinishHTTPClient(record.NewHTTPFailure(0, reasonPanic, resilience.OutcomeServerFault), "panic")
		}
	}()
	resp, err := next.RoundTrip(sent)
	returned = true
	if err != nil {
		call.FinishHTTPClient(failureOf(call, req.Context(), err), err.Error())
		return nil, err
	}

	s := clientStatuses.of(call, resp.StatusCode)
	stop := context.AfterFunc(req.Context(), func() {
		err := req.Context().Err()
		call.FinishHTTPClient(bodyFailure(call, req.Context(), resp.StatusCode, err), err.Error())
	})
	call.SetSizes(req.ContentLength, resp.ContentLength)
	watchBody(resp, func(err error) {
		stop()
		switch {
		case err != nil:
			call.FinishHTTPClient(bodyFailure(call, req.Context(), resp.StatusCode, err), fmt.Sprint("reading the body: ", err))
		case s.Outcome() != resilience.OutcomeOK:
			call.FinishHTTPClient(s, http.StatusText(resp.StatusCode))
		default:
			call.FinishHTTPClient(s, "")
		}
	})
	return resp, nil
}

// bodyFailure returns the record's view of a response that broke off.
func bodyFailure(call *record.Call, ctx context.Context, code int, err error) *record.HTTPStatus {
	switch {
	case call.TimedOut() || ctxutil.EndedBy(ctx) == ctxutil.EndTimeout:
		return record.NewHTTPFailure(code, reasonTimeout, resilience.OutcomeTimeout)
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return record.NewHTTPFailure(code, reasonTimeout, resilience.OutcomeCallerDeadline)
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, context.Canceled):
		return record.NewHTTPFailure(code, reasonCanceled, resilience.OutcomeCanceled)
	default:
		return record.NewHTTPFailure(code, reasonBody, resilience.OutcomeTransient)
	}
}

// setIdentity writes the call's identity into h, in place of what is there.
func setIdentity(h http.Header, call *record.Call) {
	out := call.Outgoing()
	set := func(key, value string) {
		if value != "" {
			h[key] = []string{value}
		}
	}
	set(ctxutil.HeaderTraceparent, out.Traceparent)
	set(ctxutil.HeaderTracestate, out.Tracestate)
	set(ctxutil.HeaderBaggage, out.Baggage)
	set(ctxutil.HeaderTraceID, out.TraceID)
	set(ctxutil.HeaderRequestID, out.RequestID)
	carrier := ctxutil.HTTPCarrier(h)
	for _, f := range out.Forwarded {
		if !carrier.Has(f.Key) {
			carrier.SetAll(f.Key, f.Values)
		}
	}
	call.Inject(func() ctxutil.Carrier { return carrier })
}
