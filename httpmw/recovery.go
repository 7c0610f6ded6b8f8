// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/fairlead-go/fairlead/internal/respwriter"
	"github.com/fairlead-go/fairlead/record"
)

type recovering struct {
	next       http.Handler
	answerWith func(w http.ResponseWriter, r *http.Request, value any)
	problem    problemConfig
	logger     *slog.Logger
}

// RecoveryOption configures [Recovery]. A [ProblemOption] is one.
type RecoveryOption interface{ applyRecovery(*recovering) }

type recoveryOptionFunc func(*recovering)

func (f recoveryOptionFunc) applyRecovery(r *recovering) { f(r) }

// WithPanicAnswer sets what writes the answer to a request whose handler
// panicked before the first byte. It is called on the goroutine that panicked;
// what it writes reaches the peer, so it must not tell what the value says.
// The default, and nil, is a [Problem] with status 500, to which the options
// of problems apply.
func WithPanicAnswer(answer func(w http.ResponseWriter, r *http.Request, value any)) RecoveryOption {
	return recoveryOptionFunc(func(c *recovering) { c.answerWith = answer })
}

// WithPanicLogger sets where a panic is logged when there is no record above
// that logs it. The default, and nil, is [slog.Default].
func WithPanicLogger(l *slog.Logger) RecoveryOption {
	return recoveryOptionFunc(func(c *recovering) { c.logger = l })
}

// Recovery returns the middleware that turns a panic of a handler, or of a
// middleware further in, into an answer with status 500. The value and the
// stack go to the request's record, which has them on the span, in the request
// log and in fairlead_panics_total; without a record they are logged. The peer
// learns nothing of them.
//
// If the answer had begun it cannot be taken back: the connection is cut, so
// that the peer does not take half an answer for a whole one. A panic with
// [http.ErrAbortHandler] asks for just that and goes on untouched.
func Recovery(opts ...RecoveryOption) Middleware {
	var config recovering
	for _, o := range opts {
		o.applyRecovery(&config)
	}
	return func(next http.Handler) http.Handler {
		r := config
		r.next = next
		return &r
	}
}

// ServeHTTP implements [http.Handler].
func (c *recovering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rw, ok := w.(*respwriter.Writer)
	if !ok {
		rw = new(respwriter.Writer)
		rw.Init(w)
	}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if isAbort(v) {
			panic(v)
		}
		c.note(r, v, debug.Stack())
		if rw.WroteHeader() {
			panic(http.ErrAbortHandler)
		}
		if c.answerWith != nil {
			c.answerWith(rw, r, v)
			return
		}
		c.problem.write(rw, r, Problem{Status: http.StatusInternalServerError})
	}()
	c.next.ServeHTTP(rw, r)
}

func (c *recovering) note(r *http.Request, v any, stack []byte) {
	if call := record.FromContext(r.Context()); call != nil {
		call.Panicked(v, stack)
		return
	}
	logger := c.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.ErrorContext(r.Context(), "panic recovered", slog.Any("panic", v), slog.String("stack", string(stack)))
}
