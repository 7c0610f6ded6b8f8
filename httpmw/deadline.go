// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/record"
)

// Deadline returns the middleware that gives requests the deadline their
// caller sent in X-Request-Timeout-Ms (or grpc-timeout), held to b. A request
// whose budget is spent on arrival, and one whose handler gives up on its
// deadline without having answered, is answered 504.
//
// Take the reserve on one side only: usually clients use a budget with the
// default reserve, and servers one with [ctxutil.WithReserve](0) and a cap.
//
// The cause of the request's context says whose deadline passed; see
// [ctxutil.EndedBy].
func Deadline(b ctxutil.Budget) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serveUntil(b, next, w, r)
		})
	}
}

func serveUntil(b ctxutil.Budget, next http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if timeout, ok := ctxutil.TimeoutFrom(ctxutil.HTTPCarrier(r.Header)); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, time.Now().Add(timeout), ctxutil.ErrCallerDeadline)
		defer cancel()
	}
	limited, cancel, err := ctxutil.WithBudget(ctx, b)
	if err != nil {
		WriteProblem(w, r, Problem{Status: http.StatusGatewayTimeout})
		return
	}
	defer cancel()
	if limited == r.Context() {
		next.ServeHTTP(w, r)
		return
	}
	rw, ok := w.(*respwriter.Writer)
	if !ok {
		rw = new(respwriter.Writer)
		rw.Init(w)
	}
	inner := r.WithContext(limited)
	defer keepPattern(r, inner)
	next.ServeHTTP(rw, inner)
	noteTimeout(limited)
	if !rw.WroteHeader() && errors.Is(limited.Err(), context.DeadlineExceeded) {
		WriteProblem(rw, r, Problem{Status: http.StatusGatewayTimeout})
	}
}

// keepPattern gives the outer request the route its inner copy matched, so
// that a record further out finds it.
func keepPattern(outer, inner *http.Request) {
	if outer.Pattern == "" {
		outer.Pattern = inner.Pattern
	}
}

// noteTimeout tells the record that the limit that ended the request was ours.
func noteTimeout(ctx context.Context) {
	if ctxutil.EndedBy(ctx) == ctxutil.EndTimeout {
		if call := record.FromContext(ctx); call != nil {
			call.NoteTimeout()
		}
	}
}

// DeadlineTransport returns the transport that holds requests to b and tells
// the next hop what is left, in X-Request-Timeout-Ms. A request whose budget
// is spent is not sent: its error is a [*ctxutil.BudgetError]. The deadline
// covers the reading of the response's body.
func DeadlineTransport(b ctxutil.Budget) Transport {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			return sendUntil(b, next, r)
		})
	}
}

func sendUntil(b ctxutil.Budget, next http.RoundTripper, r *http.Request) (*http.Response, error) {
	ctx, cancel, err := ctxutil.WithBudget(r.Context(), b)
	if err != nil {
		closeBody(r)
		return nil, err
	}
	left, limited := ctxutil.Remaining(ctx)
	if !limited {
		cancel()
		return next.RoundTrip(r)
	}
	sent := r.WithContext(ctx)
	sent.Header = cloneHeader(r.Header)
	sent.Header[ctxutil.HeaderRequestTimeout] = []string{ctxutil.FormatTimeoutMillis(left)}
	resp, err := next.RoundTrip(sent)
	if err != nil {
		noteTimeout(ctx)
		cancel()
		return nil, err
	}
	watchBody(resp, func(err error) {
		if err != nil {
			noteTimeout(ctx)
		}
		cancel()
	})
	return resp, nil
}
