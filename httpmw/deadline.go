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

// DeadlineOption configures [Deadline]. A [ProblemOption] is one.
type DeadlineOption interface{ applyDeadline(*deadlines) }

type deadlines struct {
	budget  ctxutil.Budget
	problem problemConfig
	next    http.Handler
}

// Deadline returns the middleware that gives requests the deadline their
// caller sent in X-Request-Timeout-Ms (or grpc-timeout), held to b. A request
// whose budget is spent on arrival, and one whose handler gives up on its
// deadline without having answered, is answered 504. A handler that takes no
// notice of its context is waited for.
//
// Take the reserve on one side only: usually clients use a budget with the
// default reserve, and servers one with [ctxutil.WithReserve](0) and a cap.
//
// The cause of the request's context says whose deadline passed; see
// [ctxutil.EndedBy].
func Deadline(b ctxutil.Budget, opts ...DeadlineOption) Middleware {
	config := deadlines{budget: b}
	for _, o := range opts {
		o.applyDeadline(&config)
	}
	return func(next http.Handler) http.Handler {
		d := config
		d.next = next
		return &d
	}
}

// ServeHTTP implements [http.Handler].
func (d *deadlines) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	call := record.FromContext(ctx)
	if timeout, ok := ctxutil.TimeoutFrom(ctxutil.HTTPCarrier(r.Header)); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, time.Now().Add(timeout), ctxutil.ErrCallerDeadline)
		defer cancel()
		if deadline, _ := ctx.Deadline(); call != nil {
			call.SetCallerDeadline(deadline)
		}
	}
	limited, cancel, err := ctxutil.WithBudget(ctx, d.budget)
	if err != nil {
		if call != nil {
			call.NoteRefused()
		}
		d.problem.writeError(w, r, err)
		return
	}
	defer cancel()
	if limited == r.Context() {
		d.next.ServeHTTP(w, r)
		return
	}
	if call != nil {
		call.SetLimit(limited)
	}
	rw, ok := w.(*respwriter.Writer)
	if !ok {
		rw = new(respwriter.Writer)
		rw.Init(w)
	}
	inner := r.WithContext(limited)
	defer handBack(r, inner)
	d.next.ServeHTTP(rw, inner)
	if !rw.WroteHeader() && errors.Is(limited.Err(), context.DeadlineExceeded) {
		d.problem.write(rw, r, Problem{Status: http.StatusGatewayTimeout})
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
	call := record.FromContext(r.Context())
	ctx, cancel, err := ctxutil.WithBudget(r.Context(), b)
	if err != nil {
		if call != nil {
			call.NoteRefused()
		}
		closeBody(r)
		return nil, err
	}
	left, limited := ctxutil.Remaining(ctx)
	if !limited {
		return next.RoundTrip(r)
	}
	if call != nil {
		call.SetLimit(ctx)
	}
	sent := r.WithContext(ctx)
	sent.Header = cloneHeader(r.Header)
	sent.Header[ctxutil.HeaderRequestTimeout] = []string{ctxutil.FormatTimeoutMillis(left)}
	resp, err := next.RoundTrip(sent)
	if err != nil {
		cancel()
		return nil, err
	}
	watchBody(resp, nil, func(error) { cancel() })
	return resp, nil
}
