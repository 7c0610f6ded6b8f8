// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// Shed returns the middleware that refuses what s refuses, with 503 and when to come
// back. A request's priority is [shed.Shedder.Priority] of its path.
//
// A request takes its place until its handler has ended, and how long that took and
// with which status may move the limit. One that turns out to be a stream, because
// its handler flushes the answer or takes the connection over, gives its place back
// then and moves nothing: it lasts as long as both sides like, and that is no latency.
// So a handler that sends what slow readers take their time for flushes first. What
// many open streams cost all the same is for [Concurrency] to bound. A place is free
// again however the handler ends.
//
// It belongs behind [Record], as [RateLimit] does. It panics if s is nil.
func Shed(s *shed.Shedder, opts ...ProblemOption) Middleware {
	if s == nil {
		panic("httpmw: Shed: nil shedder")
	}
	var problem problemConfig
	for _, o := range opts {
		o.applyProblem(&problem)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			lease, err := s.Allow(ctx, s.Priority(ctx, r.URL.Path))
			if err != nil {
				problem.refuse(w, r, resilience.PolicyShed, err)
				return
			}
			leased := &leasedWriter{lease: lease}
			leased.Init(w)
			defer leased.lease.Release()
			next.ServeHTTP(leased, r)
			leased.lease.Done(ctx, outcomeOfAnswer(ctx, &leased.Writer))
		})
	}
}

// outcomeOfAnswer returns what the answer to a request served with ctx means, once
// its handler has returned.
func outcomeOfAnswer(ctx context.Context, w *respwriter.Writer) resilience.Outcome {
	by, code := ctxutil.EndedBy(ctx), w.Status()
	switch {
	case by == ctxutil.EndCallerCanceled && (code >= 500 || !w.WroteHeader()):
		return resilience.OutcomeCanceled
	case by == ctxutil.EndTimeout && (code == http.StatusGatewayTimeout || !w.WroteHeader()):
		return resilience.OutcomeTimeout
	case by == ctxutil.EndCallerDeadline && !w.WroteHeader():
		return resilience.OutcomeCallerDeadline
	case by == ctxutil.EndNone && code == http.StatusGatewayTimeout && hasTime(ctx):
		return resilience.OutcomeTimeout
	default:
		return OutcomeOf(code)
	}
}

// leasedWriter gives the place of a request back when the answer turns out to be a
// stream.
type leasedWriter struct {
	respwriter.Writer
	lease shed.Lease
	freed bool
}

// Flush is FlushError for those who ask for an [http.Flusher].
func (w *leasedWriter) Flush() { _ = w.FlushError() }

// FlushError sends what is buffered.
func (w *leasedWriter) FlushError() error {
	err := w.Writer.FlushError()
	if !errors.Is(err, http.ErrNotSupported) {
		w.free()
	}
	return err
}

// Hijack lets the handler take the connection over.
func (w *leasedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := w.Writer.Hijack()
	if err == nil {
		w.free()
	}
	return conn, buf, err
}

func (w *leasedWriter) free() {
	if !w.freed {
		w.freed = true
		w.lease.Release()
	}
}
