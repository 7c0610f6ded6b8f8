// SPDX-License-Identifier: Apache-2.0

package order_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/order"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// warehouse is an inventory that has everything and remembers what is held.
type warehouse struct {
	inventorypb.InventoryServiceClient // panics for methods not expected

	mu   sync.Mutex
	held map[string]int32
	err  error
}

func (w *warehouse) Reserve(_ context.Context, r *inventorypb.ReserveRequest, _ ...grpc.CallOption) (*inventorypb.ReserveResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	w.held[r.GetOrderId()] = r.GetQuantity()
	return &inventorypb.ReserveResponse{UnitPriceCents: 900}, nil
}

func (w *warehouse) Release(ctx context.Context, r *inventorypb.ReleaseRequest, _ ...grpc.CallOption) (*inventorypb.ReleaseResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, status.FromContextError(err).Err()
	}
	delete(w.held, r.GetOrderId())
	return &inventorypb.ReleaseResponse{}, nil
}

// chargeFunc makes a function a payment service.
type chargeFunc func(context.Context, payment.Charge) (payment.Receipt, error)

func (f chargeFunc) Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error) {
	return f(ctx, c)
}

func paid(context.Context, payment.Charge) (payment.Receipt, error) { return payment.Receipt{}, nil }

type shop struct {
	*order.Server
	book      *order.Book
	warehouse *warehouse
	metrics   *prometheus.Registry
}

func newShop(t *testing.T, charge chargeFunc) *shop {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "order.db"), order.Schema)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{book: order.NewBook(db), warehouse: &warehouse{held: map[string]int32{}}, metrics: prometheus.NewRegistry()}
	s.Server, err = order.NewServer(s.book, s.warehouse, charge, slog.New(slog.DiscardHandler), s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	return s
}

func request() *orderpb.PlaceOrderRequest {
	return &orderpb.PlaceOrderRequest{Customer: "ada", Sku: "mug", Quantity: 2, Card: payment.CardOK}
}

func TestPlaceOrder(t *testing.T) {
	var charged payment.Charge
	s := newShop(t, func(_ context.Context, c payment.Charge) (payment.Receipt, error) {
		charged = c
		return payment.Receipt{}, nil
	})
	o, err := s.PlaceOrder(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if want := (payment.Charge{OrderID: o.GetId(), Customer: "ada", AmountCents: 1800, Card: payment.CardOK}); charged != want {
		t.Errorf("charged %+v, want %+v", charged, want)
	}
	kept, err := s.GetOrder(t.Context(), &orderpb.GetOrderRequest{Id: o.GetId()})
	if err != nil || kept.GetStatus() != orderpb.Status_STATUS_CONFIRMED || kept.GetTotalCents() != 1800 {
		t.Errorf("kept %v, %v", kept, err)
	}
	if s.warehouse.held[o.GetId()] != 2 {
		t.Errorf("held %v, want 2 for the order", s.warehouse.held)
	}
	if err := s.Close(t.Context()); err != nil { // waits for what is done after the reply
		t.Fatal(err)
	}
	if points, err := s.book.AddPoints(t.Context(), "ada", 0); err != nil || points != 18 {
		t.Errorf("%d loyalty points, %v; want 18", points, err)
	}
}

func TestPlaceOrderFails(t *testing.T) {
	outOfStock := reason.Error(codes.FailedPrecondition, reason.OutOfStock, "none left")
	failing := func(err error) chargeFunc {
		return func(context.Context, payment.Charge) (payment.Receipt, error) { return payment.Receipt{}, err }
	}
	answer := func(code int) error {
		return fmt.Errorf("payment: %w", &httpmw.StatusError{StatusCode: code, Server: "payment"})
	}
	for _, tc := range []struct {
		name       string
		inventory  error
		charge     chargeFunc
		want       codes.Code
		wantReason string
	}{
		{name: "out of stock", inventory: outOfStock, charge: paid, want: codes.FailedPrecondition, wantReason: reason.OutOfStock},
		{name: "inventory panics", inventory: status.Error(codes.Internal, "internal error"), charge: paid, want: codes.Internal},
		{name: "inventory away", inventory: status.Error(codes.Unavailable, "connection refused"), charge: paid, want: codes.Unavailable},
		{name: "declined", charge: failing(payment.ErrDeclined), want: codes.FailedPrecondition, wantReason: reason.PaymentDeclined},
		{name: "payment away", charge: failing(answer(http.StatusServiceUnavailable)), want: codes.Unavailable},
		{name: "payment late", charge: failing(answer(http.StatusGatewayTimeout)), want: codes.DeadlineExceeded},
		{name: "payment fails", charge: failing(answer(http.StatusInternalServerError)), want: codes.Internal},
		{name: "payment unreachable", charge: failing(&url.Error{Op: "Post", Err: errors.New("connection refused")}), want: codes.Unavailable},
		{name: "payment hangs", charge: failing(&url.Error{Op: "Post", Err: ctxutil.ErrTimeout}), want: codes.DeadlineExceeded},
		{name: "payment broken", charge: failing(errors.New("secret stack")), want: codes.Internal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t, tc.charge)
			s.warehouse.err = tc.inventory
			_, err := s.PlaceOrder(t.Context(), request())
			if got := status.Code(err); got != tc.want {
				t.Errorf("code = %v, want %v (%v)", got, tc.want, err)
			}
			if got := reason.Of(err); got != tc.wantReason {
				t.Errorf("reason = %q, want %q", got, tc.wantReason)
			}
			if got := status.Convert(err).Message(); got == "secret stack" || got == "connection refused" {
				t.Errorf("the peer is told %q", got)
			}
			if len(s.warehouse.held) != 0 {
				t.Errorf("still held: %v", s.warehouse.held)
			}
			want := "# HELP shop_orders_total Orders by what became of them.\n# TYPE shop_orders_total counter\n" +
				"shop_orders_total{status=\"rejected\"} 1\n"
			if err := testutil.GatherAndCompare(s.metrics, strings.NewReader(want)); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a policy refused, in this process or further on, is passed on as it is: the
// servers' interceptors and the callers' know what to make of it.
func TestRefusalsArePassedOn(t *testing.T) {
	limited := httptest.NewRecorder()
	limited.WriteHeader(http.StatusTooManyRequests)
	for name, tc := range map[string]struct{ err, want error }{
		"breaker open":   {&resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "payment"}, resilience.ErrOpen},
		"payment limits": {httpmw.CheckResponse(limited.Result()), resilience.ErrRateLimited},
	} {
		s := newShop(t, func(context.Context, payment.Charge) (payment.Receipt, error) {
			return payment.Receipt{}, fmt.Errorf("payment: %w", tc.err)
		})
		if _, err := s.PlaceOrder(t.Context(), request()); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if len(s.warehouse.held) != 0 {
			t.Errorf("%s: still held: %v", name, s.warehouse.held)
		}
	}
}

func TestAttemptsInVainAreRemembered(t *testing.T) {
	s := newShop(t, func(context.Context, payment.Charge) (payment.Receipt, error) {
		last := &url.Error{Op: "Post", Err: errors.New("connection refused")}
		return payment.Receipt{}, &resilience.AttemptsError{Attempts: 3, Reason: retry.ReasonExhausted, Last: last}
	})
	_, err := s.PlaceOrder(t.Context(), request())
	if !retry.DoNotRetry(err) {
		t.Errorf("%v: a caller would retry what was retried here", err)
	}
	if st := status.Convert(err); st.Code() != codes.Unavailable || st.Message() != "orders are unavailable" {
		t.Errorf("a peer sees %v", st)
	}
}

func TestGoodsComeBackWhenCustomerLeaves(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	s := newShop(t, func(ctx context.Context, _ payment.Charge) (payment.Receipt, error) {
		leave()
		return payment.Receipt{}, ctx.Err()
	})
	if _, err := s.PlaceOrder(ctx, request()); status.Code(err) != codes.Canceled {
		t.Errorf("PlaceOrder = %v, want Canceled", err)
	}
	if len(s.warehouse.held) != 0 {
		t.Errorf("still held: %v", s.warehouse.held)
	}
}

func TestPlaceOrderRefusesNonsense(t *testing.T) {
	s := newShop(t, paid)
	for name, spoil := range map[string]func(*orderpb.PlaceOrderRequest){
		"no customer": func(r *orderpb.PlaceOrderRequest) { r.Customer = "" },
		"no sku":      func(r *orderpb.PlaceOrderRequest) { r.Sku = "" },
		"no card":     func(r *orderpb.PlaceOrderRequest) { r.Card = "" },
		"too few":     func(r *orderpb.PlaceOrderRequest) { r.Quantity = 0 },
		"too many":    func(r *orderpb.PlaceOrderRequest) { r.Quantity = 101 },
	} {
		r := request()
		spoil(r)
		if _, err := s.PlaceOrder(t.Context(), r); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
}

func TestGetOrderUnknown(t *testing.T) {
	s := newShop(t, paid)
	if _, err := s.GetOrder(t.Context(), &orderpb.GetOrderRequest{Id: "ord_?"}); status.Code(err) != codes.NotFound {
		t.Errorf("GetOrder = %v, want NotFound", err)
	}
}
