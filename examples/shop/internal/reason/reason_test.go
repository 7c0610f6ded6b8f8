// SPDX-License-Identifier: Apache-2.0

package reason_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
)

func TestOf(t *testing.T) {
	err := reason.Error(codes.FailedPrecondition, reason.OutOfStock, "none left")
	foreign, _ := status.New(codes.FailedPrecondition, "x").WithDetails(
		&errdetails.ErrorInfo{Reason: reason.OutOfStock, Domain: "elsewhere"})
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"ours", err, reason.OutOfStock},
		{"wrapped", fmt.Errorf("reserve: %w", err), reason.OutOfStock},
		{"another domain's", foreign.Err(), ""},
		{"no status", errors.New("boom"), ""},
		{"nil", nil, ""},
	} {
		if got := reason.Of(tc.err); got != tc.want {
			t.Errorf("%s: Of = %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := status.Code(err); got != codes.FailedPrecondition {
		t.Errorf("code = %v", got)
	}
}

func TestErrorOfOK(t *testing.T) {
	if err := reason.Error(codes.OK, reason.OutOfStock, ""); err != nil {
		t.Errorf("Error(OK) = %v, want nil", err)
	}
}

func TestHide(t *testing.T) {
	cause := errors.New("10.0.0.7 refused")
	err := reason.Hide(codes.Unavailable, "orders are unavailable", cause)
	if st := status.Convert(err); st.Code() != codes.Unavailable || st.Message() != "orders are unavailable" {
		t.Errorf("a peer sees %v", st)
	}
	if !errors.Is(err, cause) || err.Error() != "orders are unavailable: 10.0.0.7 refused" {
		t.Errorf("error %v, want one with its cause", err)
	}
}
