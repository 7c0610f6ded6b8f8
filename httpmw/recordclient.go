// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// RecordTransport returns the transport that makes the record of every request
// sent, with r. It comes first in a chain. name is the downstream service's
// name, as spans, metrics and log lines have it; empty means the URL's host.
//
// The request goes out with the identity of the record in place of whatever
// identity its headers had, and with none to a host that the Recorder's egress
// guard does not allow.
//
// The record is finished when the response's body is over: read to its end,
// closed, or ended with the request's context. A response whose body is
// neither read nor closed holds its connection and its record; that is a bug
// of the caller's with any client.
func RecordTransport(r *record.Recorder, name string) Transport {
	if r == nil {
		panic("httpmw: RecordTransport: nil recorder")
	}
	t := recorded{recorder: r, name: name, stale: identityHeaders(r)}
	return func(next http.RoundTripper) http.RoundTripper {
		t := t
		t.next = next
		return &t
	}
}

type recorded struct {
	recorder *record.Recorder
	name     string
	stale    []string
	next     http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	call := t.recorder.StartHTTPClient(req, t.name)
	sent := req.WithContext(call)
	sent.Header = cloneHeader(req.Header)
	setIdentity(sent.Header, call, t.stale)

	returned := false
	defer func() {
		if !returned { // a panic, which goes on, or runtime.Goexit
			call.FinishHTTPClient(record.NewHTTPFailure(0, reasonPanic, resilience.OutcomeServerFault), "panic")
		}
	}()
	resp, err := t.next.RoundTrip(sent)
	returned = true
	if err != nil {
		call.FinishHTTPClient(failureOf(call, 0, err), err.Error())
		return nil, err
	}
	finishWithBody(call, req, resp)
	return resp, nil
}

// finishWithBody finishes the record when the response's body is over.
func finishWithBody(call *record.Call, req *http.Request, resp *http.Response) {
	ctx, code := req.Context(), resp.StatusCode
	call.SetResponse(resp)
	stop := context.AfterFunc(ctx, func() {
		call.FinishHTTPClient(failureOf(call, code, ctx.Err()), ctx.Err().Error())
	})
	watchBody(resp, func(p []byte) { call.ReadBody(len(p)) }, func(err error) {
		stop()
		if err != nil {
			call.FinishHTTPClient(failureOf(call, code, err), fmt.Sprint("reading the body: ", err))
			return
		}
		s, message := clientStatuses.of(call, code), ""
		if s.Outcome() != resilience.OutcomeOK {
			message = http.StatusText(code)
		}
		call.FinishHTTPClient(s, message)
	})
}

// identityHeaders returns the headers that r tells an identity with. A request
// that is made from another one, as a proxy does it, may have those of that one.
func identityHeaders(r *record.Recorder) []string {
	headers := []string{ctxutil.HeaderTraceID}
	for _, f := range r.Propagator().Fields() {
		headers = append(headers, http.CanonicalHeaderKey(f))
	}
	return headers
}

// setIdentity writes the call's identity into h, in place of what stale headers
// are there.
func setIdentity(h http.Header, call *record.Call, stale []string) {
	for _, k := range stale {
		delete(h, k)
	}
	out := call.Outgoing()
	var values []string // of all headers, in one piece of memory
	set := func(key, value string) {
		if value == "" {
			return
		}
		if values == nil {
			values = make([]string, 0, maxIdentity)
		}
		values = append(values, value)
		n := len(values)
		h[key] = values[n-1 : n : n]
	}
	set(ctxutil.HeaderTraceparent, out.Traceparent)
	set(ctxutil.HeaderTracestate, out.Tracestate)
	set(ctxutil.HeaderBaggage, out.Baggage)
	set(ctxutil.HeaderTraceID, out.TraceID)
	set(ctxutil.HeaderRequestID, out.RequestID)
	if n := retry.PreviousAttempts(call); n > 0 {
		h[HeaderPreviousAttempts] = []string{strconv.Itoa(n)}
	}
	carrier := ctxutil.HTTPCarrier(h)
	for _, f := range out.Forwarded {
		if !carrier.Has(f.Key) {
			carrier.SetAll(f.Key, f.Values)
		}
	}
	call.Inject(func() ctxutil.Carrier { return carrier })
}

// maxIdentity is how many headers of one value an identity has at most:
// either a traceparent or an X-Trace-ID.
const maxIdentity = 4
