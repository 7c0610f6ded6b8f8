// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
)

// orders answers every call with the same.
type orders struct {
	order *orderpb.Order
	err   error

	placed *orderpb.PlaceOrderRequest
	left   time.Duration
}

func (o *orders) PlaceOrder(ctx context.Context, r *orderpb.PlaceOrderRequest, _ ...grpc.CallOption) (*orderpb.Order, error) {
	o.placed = r
	deadline, _ := ctx.Deadline()
	o.left = time.Until(deadline)
	return o.order, o.err
}

func (o *orders) GetOrder(context.Context, *orderpb.GetOrderRequest, ...grpc.CallOption) (*orderpb.Order, error) {
	return o.order, o.err
}

func serve(t *testing.T, o *orders, inventory inventorypb.InventoryServiceClient) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	gateway.New(o, inventory, slog.New(slog.DiscardHandler)).Routes(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func do(t *testing.T, srv *httptest.Server, method, path, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

var placedOrder = &orderpb.Order{
	Id: "ord_1", Customer: "ada", Sku: "mug", Quantity: 2, TotalCents: 1800, Status: orderpb.Status_STATUS_CONFIRMED,
}

func TestPlaceOrder(t *testing.T) {
	o := &orders{order: placedOrder}
	resp := do(t, serve(t, o, nil), "POST", "/orders", `{"customer":"ada","sku":"mug","quantity":2,"card":"tok_ok"}`)
	if resp.StatusCode != http.StatusCreated || resp.Header.Get("Location") != "/orders/ord_1" {
		t.Errorf("status %d, location %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	var got gateway.Order
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := gateway.Order{ID: "ord_1", Customer: "ada", SKU: "mug", Quantity: 2, TotalCents: 1800, Status: "confirmed"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if o.placed.GetCard() != "tok_ok" || o.placed.GetQuantity() != 2 {
		t.Errorf("asked for %v", o.placed)
	}
	if o.left <= 0 || o.left > gateway.OrderTimeout {
		t.Errorf("the order service has %v, want at most %v", o.left, gateway.OrderTimeout)
	}
}

func TestGetOrder(t *testing.T) {
	resp := do(t, serve(t, &orders{order: placedOrder}, nil), "GET", "/orders/ord_1", "")
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"status":"confirmed"`) {
		t.Errorf("status %d, body %s", resp.StatusCode, body)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		detail string
		reason string
	}{
		{status.Error(codes.InvalidArgument, "sku must be set"), 400, "sku must be set", ""},
		{reason.Error(codes.NotFound, reason.UnknownSKU, "no article"), 404, "no article", reason.UnknownSKU},
		{reason.Error(codes.FailedPrecondition, reason.OutOfStock, "none left"), 409, "none left", reason.OutOfStock},
		{reason.Error(codes.FailedPrecondition, reason.PaymentDeclined, "declined"), 402, "declined", reason.PaymentDeclined},
		{status.Error(codes.ResourceExhausted, "limit 7"), 429, "too many requests", ""},
		{status.Error(codes.Unavailable, "10.0.0.1 refused"), 503, "the shop is busy, try again soon", ""},
		{status.Error(codes.DeadlineExceeded, "x"), 504, "this took too long", ""},
		{status.Error(codes.Canceled, "x"), 499, "the client has gone", ""},
		{status.Error(codes.Internal, "stack"), 500, "something went wrong on our side", ""},
	} {
		err := httpmw.CheckResponse(do(t, serve(t, &orders{err: tc.err}, nil), "POST", "/orders", `{}`))
		got, _ := errors.AsType[*httpmw.StatusError](err)
		if got == nil || got.StatusCode != tc.status || got.Problem.Detail != tc.detail || problem.Reason(err) != tc.reason {
			t.Errorf("%v: answer %+v, want %d %q %q", tc.err, got, tc.status, tc.detail, tc.reason)
		}
	}
}

func TestRefusalsReachTheWorld(t *testing.T) {
	open := &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "payment", RetryAfter: 1500 * time.Millisecond, Remote: true}
	resp := do(t, serve(t, &orders{err: fmt.Errorf("order: %w", open)}, nil), "POST", "/orders", `{}`)
	if got := resp.Header.Get("Retry-After"); resp.StatusCode != http.StatusServiceUnavailable || got != "2" {
		t.Errorf("status %d, Retry-After %q; want 503, 2", resp.StatusCode, got)
	}
	if err := httpmw.CheckResponse(resp); !errors.Is(err, resilience.ErrOpen) || strings.Contains(err.Error(), "payment") {
		t.Errorf("answer %v, want a breaker that is open, whatever its name", err)
	}
}

func TestBadBody(t *testing.T) {
	srv := serve(t, &orders{}, nil)
	for name, body := range map[string]string{"garbage": "{", "too long": `{"sku":"` + strings.Repeat("x", 1<<15) + `"}`} {
		if resp := do(t, srv, "POST", "/orders", body); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", name, resp.StatusCode)
		}
	}
}

func TestTripWire(t *testing.T) {
	mux := http.NewServeMux()
	gateway.New(&orders{}, nil, slog.New(slog.DiscardHandler)).Routes(mux)
	defer func() {
		if recover() == nil {
			t.Error("GET /orders/tripwire did not panic")
		}
	}()
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/"+chaos.TripWire, nil))
}
