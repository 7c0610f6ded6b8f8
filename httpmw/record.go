// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"cmp"
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
// caller sent one; one that is degraded when its header goes out has X-Degraded. The
// route is the pattern that [http.ServeMux] matched; see
// [Route] and [Mount] for chains and muxes in which it is not found by itself.
//
// A request whose caller went away before it was answered, or whose answer then
// was an error of this server, is recorded as [StatusClientClosedRequest]:
// whatever the handler wrote, nobody read it.
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

// HeaderDegraded is "true" in an answer that is not what was asked for, or not all of
// it, because a fallback stood in for a call that failed: in the answer of the server
// that made the call, see [record.Degrade], and in the stand-in itself.
const HeaderDegraded = "X-Degraded"

// answer is what is kept of one answer, in one piece of memory.
type answer struct {
	respwriter.Writer
	call *record.Call
	ids  [2]string // the values of X-Trace-ID and X-Request-ID
}

// BeforeHeader tells the peer of a success that is degraded, if that is known by now.
func (a *answer) BeforeHeader(code int) {
	if code < 400 && a.call.Degraded() != "" {
		a.Header().Set(HeaderDegraded, "true")
	}
}

func serveRecorded(r *record.Recorder, next http.Handler, w http.ResponseWriter, req *http.Request) {
	in := record.IncomingHTTP(req.Header)
	if r.ReadsHeaders() {
		in.Headers = func() ctxutil.Carrier { return ctxutil.HTTPCarrier(req.Header) }
	}
	call := r.StartHTTPServer(withPreviousAttempts(req), in)
	a := &answer{call: call}
	a.Init(w)
	a.SetOwner(a)
	a.setIDs(call)
	inner := req.WithContext(call)
	returned := false
	defer func() {
		handBack(req, inner)
		if call.Route() == "" {
			call.SetRoute(req.Pattern)
		}
		call.SetSizes(req.ContentLength, sentBytes(req, &a.Writer))
		if returned {
			if !a.WroteHeader() {
				a.BeforeHeader(a.Status())
			}
			finishReturned(call, &a.Writer)
			return
		}
		v := recover()
		finishUnreturned(call, &a.Writer, v)
		if v != nil {
			panic(v)
		}
	}()
	next.ServeHTTP(&a.Writer, inner)
	returned = true
}

// handBack gives a request what was set on the copy that was handed down in its
// place: the route, for records and logs further out, and the files of an upload,
// which net/http removes by the request that it made itself.
func handBack(outer, inner *http.Request) {
	outer.Pattern = cmp.Or(inner.Pattern, outer.Pattern)
	if outer.MultipartForm == nil {
		outer.MultipartForm = inner.MultipartForm
	}
}

// setIDs puts the call's ids into the answer's header.
func (a *answer) setIDs(call *record.Call) {
	header := a.Header()
	a.ids = [2]string{call.TraceID(), call.CorrelationID}
	header[ctxutil.HeaderTraceID] = a.ids[0:1:1]
	if call.CorrelationID != "" {
		header[ctxutil.HeaderRequestID] = a.ids[1:2:2]
	}
}

// sentBytes returns how many bytes of body went out: of what a handler writes
// to a HEAD request, none do.
func sentBytes(req *http.Request, w *respwriter.Writer) int64 {
	if req.Method == http.MethodHead {
		return 0
	}
	return w.Bytes()
}

// finishReturned finishes the record of a request whose handler returned.
func finishReturned(call *record.Call, w *respwriter.Writer) {
	code := w.Status()
	switch {
	case call.HasPanicked():
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonPanic, resilience.OutcomeServerFault), "panic")
	case (code >= 500 || !w.WroteHeader()) && ctxutil.EndedBy(call) == ctxutil.EndCallerCanceled:
		call.FinishHTTPServer(serverStatuses.of(call, StatusClientClosedRequest), "caller went away")
	default:
		s := serverStatuses.of(call, code)
		message := ""
		if s.Outcome() != resilience.OutcomeOK {
			message = http.StatusText(code)
		}
		call.FinishHTTPServer(s, message)
	}
}

// finishUnreturned finishes the record of a request whose handler panicked with
// v or, if v is nil, called runtime.Goexit. Either way net/http cuts the
// connection.
func finishUnreturned(call *record.Call, w *respwriter.Writer, v any) {
	code := 0
	if w.WroteHeader() {
		code = w.Status()
	}
	outcome := resilience.OutcomeServerFault
	switch {
	case call.HasPanicked():
		// Recovery noted the panic, and aborts an answer that had begun.
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonPanic, outcome), "panic")
	case v == nil:
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonAborted, outcome), "handler ended its goroutine")
	case isAbort(v):
		if ctxutil.EndedBy(call) == ctxutil.EndCallerCanceled {
			outcome = resilience.OutcomeCanceled
		}
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonAborted, outcome), "handler aborted the answer")
	default:
		call.Panicked(v, debug.Stack())
		call.FinishHTTPServer(record.NewHTTPFailure(code, reasonPanic, outcome), fmt.Sprint("panic: ", v))
	}
}

// isAbort reports whether v is the panic that tells net/http to cut the
// connection without a word. It is compared, not unwrapped, as net/http does.
func isAbort(v any) bool {
	return v == http.ErrAbortHandler //nolint:errorlint // net/http compares so too
}
