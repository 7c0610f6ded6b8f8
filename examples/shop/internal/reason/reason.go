// SPDX-License-Identifier: Apache-2.0

// Package reason gives the shop's gRPC errors a machine-readable reason, so
// that a caller need not read messages.
//
//	return nil, reason.Error(codes.FailedPrecondition, reason.OutOfStock, "mug-blue: 2 wanted, 1 left")
//
//	switch reason.Of(err) {
//	case reason.OutOfStock: …
//
// It travels as google.rpc.ErrorInfo (https://google.aip.dev/193), which any
// language's gRPC can read.
package reason

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The reasons of the shop's services.
const (
	UnknownSKU      = "UNKNOWN_SKU"
	OutOfStock      = "OUT_OF_STOCK"
	PaymentDeclined = "PAYMENT_DECLINED"
)

// domain makes the reasons unique.
const domain = "shop.fairlead.example"

// Error returns a gRPC status error with a reason.
func Error(code codes.Code, reason, message string) error {
	st := status.New(code, message)
	withInfo, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: domain})
	if err != nil { // only for codes.OK, which is no error
		return st.Err()
	}
	return withInfo.Err()
}

// Hide returns a gRPC status error that tells a peer no more than code and
// message, and keeps the cause: for the log, and for what the policies of this
// process have to say about it.
func Hide(code codes.Code, message string, cause error) error {
	return &hidden{status: status.New(code, message), cause: cause}
}

type hidden struct {
	status *status.Status
	cause  error
}

func (e *hidden) Error() string { return e.status.Message() + ": " + e.cause.Error() }

// GRPCStatus is all that a peer sees.
func (e *hidden) GRPCStatus() *status.Status { return e.status }

func (e *hidden) Unwrap() error { return e.cause }

// Of returns the reason in err, or "" if it has none of ours.
func Of(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == domain {
			return info.GetReason()
		}
	}
	return ""
}
