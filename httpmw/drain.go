// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"net/http"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/internal/respwriter"
)

// Drain returns the middleware that counts requests in d, for a server that is
// drained before it is stopped. Give the server d's context, too
// ([WithBaseContext] of d.Context()): with it, handlers get a [drain.Notice], and
// one that is still there when time is over has its context canceled, with the
// cause [ctxutil.ErrShutdown]; if it has not answered by then, the answer is 503.
//
// While the server leaves, answers over HTTP/1 close their connection, so that
// callers do not keep one on which their next request would meet its end. HTTP/2
// has a frame for it, which [http.Server.Shutdown] sends.
//
// It stands inside of the record, which then tells what the caller got, and of the
// deadline.
func Drain(d *drain.Drainer) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.Begin()
			defer d.End()
			if d.Leaving() && r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close")
			}
			rw, ok := w.(*respwriter.Writer)
			if !ok {
				rw = new(respwriter.Writer)
				rw.Init(w)
			}
			next.ServeHTTP(rw, r)
			if ctx := r.Context(); !rw.WroteHeader() && ctx.Err() != nil && errors.Is(context.Cause(ctx), ctxutil.ErrShutdown) {
				WriteProblem(rw, r, Problem{Status: http.StatusServiceUnavailable, Detail: "the server is shutting down"})
			}
		})
	}
}
