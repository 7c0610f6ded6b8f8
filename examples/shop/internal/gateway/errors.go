// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
)

// statusClientClosed answers a request whose client no longer waits. It is
// nginx's number: HTTP has none, because nobody is there to read it.
const statusClientClosed = 499

// fail answers r with what err of a service behind means to the world. What a
// policy refused, here or further on, is told as that, with the time after which
// another try makes sense.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	if _, refused := errors.AsType[*resilience.RejectedError](err); refused {
		httpmw.WriteError(w, r, err)
		return
	}
	code, detail := httpStatus(err)
	if code == http.StatusInternalServerError {
		g.log.ErrorContext(r.Context(), "a service failed", "err", err)
	}
	problem.Write(w, r, code, reason.Of(err), detail)
}

// httpStatus returns the HTTP status for err, and a text fit for strangers.
func httpStatus(err error) (code int, detail string) {
	st := status.Convert(err)
	switch st.Code() {
	case codes.InvalidArgument:
		return http.StatusBadRequest, st.Message()
	case codes.NotFound:
		return http.StatusNotFound, st.Message()
	case codes.FailedPrecondition:
		if reason.Of(err) == reason.PaymentDeclined {
			return http.StatusPaymentRequired, st.Message()
		}
		return http.StatusConflict, st.Message()
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests, "too many requests"
	case codes.Unavailable:
		return http.StatusServiceUnavailable, "the shop is busy, try again soon"
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout, "this took too long"
	case codes.Canceled:
		return statusClientClosed, "the client has gone"
	default:
		return http.StatusInternalServerError, "something went wrong on our side"
	}
}
