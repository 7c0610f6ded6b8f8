// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience"
)

// Record returns the middleware that makes the record of every request with r:
// identity, span, metrics and request log in one pass. It comes first in a
// chain. A panic on its way through is recorded and goes on: add [Recovery] to
// end it.
//
// Every answer carries the trace id in X-Trace-ID, and X-Request-ID if the
// caller sent one. The route is the pattern that [http.ServeMux] matched; when
// a middleware between this and the mux replaces the request, put [Route]
// directly around the mux, because the pattern is then set on another request.
func Record(r *record.Recorder) Middleware {
	if r == nil {
		panic("httpmw: Record: nil recorder")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			serveRecorded(r, next, w, req)
		})
	}
}

func serveRecorded(r *record.Recorder, next http.Handler, w http.ResponseWriter, req *http.Request) {
	in := record.IncomingHTTP(req.Header)
	if r.ReadsHeaders() {
		in.Headers = func() ctxutil.Carrier { return ctxutil.HTTPCarrier(req.Header) }
	}
	call := r.StartHTTPServer(req, in)
	header := w.Header()
	header[ctxutil.HeaderTraceID] = []string{call.TraceID()}
	if call.CorrelationID != "" {
		header[ctxutil.HeaderRequestID] = []string{call.CorrelationID}
	}
	rw := new(respwriter.Writer)
	rw.Init(w)
	inner := req.WithContext(call)
	returned := false
	defer func() {
		if !call.HasRoute() {
			call.SetRoute(inner.Pattern)
		}
		call.SetSizes(req.ContentLength, rw.Bytes())
		if returned {
			finishReturned(call, rw)
			return
		}
		v := recover()
		finishPanicked(call, rw, v)
		if v != nil {
			panic(v)
		}
	}()
	next.ServeHTTP(rw, inner)
	returned = true
}

// finishReturned finishes the record of a request whose handler returned.
func finishReturned(call *record.Call, rw *respwriter.Writer) {
	switch {
	case call.HasPanicked():
		call.FinishHTTPServer(record.NewHTTPFailure(rw.Status(), reasonPanic, resilience.OutcomeServerFault), "panic")
	case !rw.WroteHeader() && errors.Is(call.Err(), context.Canceled):
		// net/http would send 200, to nobody.
		call.FinishHTTPServer(serverStatuses.of(call, StatusClientClosedRequest), "caller went away")
	default:
		s := serverStatuses.of(call, rw.Status())
		message := ""
		if s.Outcome() != resilience.OutcomeOK {
			message = http.StatusText(rw.Status())
		}
		call.FinishHTTPServer(s, message)
	}
}

// finishPanicked finishes the record of a request whose handler panicked with
// v, or called runtime.Goexit if v is nil. In both cases net/http cuts the
// connection.
func finishPanicked(call *record.Call, rw *respwriter.Writer, v any) {
	code := 0
	if rw.WroteHeader() {
		code = rw.Status()
	}
	switch {
	case isAbort(v) && call.HasPanicked():
		// Recovery noted the panic, and aborts an answer that had begun.
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonPanic, resilience.OutcomeServerFault), "panic")
	case isAbort(v):
		outcome := resilience.OutcomeServerFault
		if errors.Is(call.Err(), context.Canceled) {
			outcome = resilience.OutcomeCanceled
		}
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonAborted, outcome), "handler aborted the answer")
	default:
		call.Panicked(v, debug.Stack())
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonPanic, resilience.OutcomeServerFault), fmt.Sprint("panic: ", v))
	}
}

// isAbort reports whether v is the panic that tells net/http to cut the
// connection without a word. It is compared, not unwrapped, as net/http does.
func isAbort(v any) bool {
	return v == http.ErrAbortHandler //nolint:errorlint // net/http compares so too
}

// Route returns mux as a handler that notes the pattern a request matched, for
// chains in which a middleware between [Record] and the mux replaces the
// request.
func Route(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		call := record.FromContext(req.Context())
		if call == nil {
			mux.ServeHTTP(w, req)
			return
		}
		defer func() { // a handler may panic after it matched
			if req.Pattern != "" {
				call.SetRoute(req.Pattern)
			}
		}()
		mux.ServeHTTP(w, req)
	})
}
