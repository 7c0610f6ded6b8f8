// SPDX-License-Identifier: Apache-2.0

package order

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
)

const (
	// undoTimeout bounds giving an order's goods back.
	undoTimeout = 2 * time.Second
	// rewardTimeout bounds what is done for one order after the reply.
	rewardTimeout = 5 * time.Second
	// rewardWorkers and rewardQueue bound how much of that is done at a time, and
	// how much waits.
	rewardWorkers, rewardQueue = 4, 1000
	// centsPerPoint is what a customer spends for one loyalty point.
	centsPerPoint = 100
)

// Payments is what the server needs of the payment service.
type Payments interface {
	// Charge takes the money for an order, at most once.
	Charge(ctx context.Context, c payment.Charge) (payment.Receipt, error)
}

// Server is the order service. Make it with [NewServer], end it with
// [Server.Close]. It is safe for concurrent use.
type Server struct {
	orderpb.UnimplementedOrderServiceServer

	book      *Book
	inventory inventorypb.InventoryServiceClient
	payments  Payments
	log       *slog.Logger
	orders    *prometheus.CounterVec
	rewards   *ctxutil.Pool
}

var _ orderpb.OrderServiceServer = (*Server)(nil)

// NewServer returns a server that keeps its orders in book, and registers its
// metrics with reg.
func NewServer(book *Book, inventory inventorypb.InventoryServiceClient, payments Payments, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	orders := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_orders_total",
		Help: "Orders by what became of them.",
	}, []string{"status"})
	if err := reg.Register(orders); err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	rewards, err := ctxutil.NewPool("loyalty-points", rewardWorkers, rewardQueue,
		ctxutil.WithDetachedTasks(rewardTimeout), ctxutil.WithLogger(log))
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	return &Server{book: book, inventory: inventory, payments: payments, log: log, orders: orders, rewards: rewards}, nil
}

// Close waits for what is still done after replies, until ctx ends.
func (s *Server) Close(ctx context.Context) error { return s.rewards.Close(ctx) }

// PlaceOrder implements [orderpb.OrderServiceServer].
func (s *Server) PlaceOrder(ctx context.Context, r *orderpb.PlaceOrderRequest) (*orderpb.Order, error) {
	if err := valid(r); err != nil {
		return nil, err
	}
	o := &orderpb.Order{
		Id: "ord_" + rand.Text(), Customer: r.GetCustomer(), Sku: r.GetSku(), Quantity: r.GetQuantity(),
		Status: orderpb.Status_STATUS_PENDING,
	}
	ctxutil.Add(ctx, slog.String("order_id", o.GetId()))

	if err := s.fill(ctx, o, r.GetCard()); err != nil {
		s.orders.WithLabelValues("rejected").Inc()
		s.undo(ctx, o, err)
		return nil, s.passOn(ctx, err)
	}
	s.orders.WithLabelValues("confirmed").Inc()
	s.log.InfoContext(ctx, "order confirmed", "total_cents", o.GetTotalCents())
	s.reward(ctx, o)
	return o, nil
}

// GetOrder implements [orderpb.OrderServiceServer].
func (s *Server) GetOrder(ctx context.Context, r *orderpb.GetOrderRequest) (*orderpb.Order, error) {
	ctxutil.Add(ctx, slog.String("order_id", r.GetId()))
	o, err := s.book.Get(ctx, r.GetId())
	if errors.Is(err, ErrNotFound) {
		return nil, status.Error(codes.NotFound, "no such order")
	}
	if err != nil {
		return nil, s.passOn(ctx, err)
	}
	return o, nil
}

// fill reserves the goods, keeps the order and has it paid.
func (s *Server) fill(ctx context.Context, o *orderpb.Order, card string) error {
	reserved, err := s.inventory.Reserve(ctx, &inventorypb.ReserveRequest{
		OrderId: o.GetId(), Sku: o.GetSku(), Quantity: o.GetQuantity(),
	})
	if err != nil {
		return err
	}
	o.TotalCents = reserved.GetUnitPriceCents() * int64(o.GetQuantity())
	if err := s.book.Insert(ctx, o); err != nil {
		return err
	}
	_, err = s.payments.Charge(ctx, payment.Charge{
		OrderID: o.GetId(), Customer: o.GetCustomer(), AmountCents: o.GetTotalCents(), Card: card,
	})
	if err != nil {
		return err
	}
	o.Status = orderpb.Status_STATUS_CONFIRMED
	return s.book.SetStatus(ctx, o.GetId(), o.GetStatus())
}

// undo gives the goods of a failed order back. It must happen even if the
// customer has gone or the deadline has passed: often that is why it is needed.
// After anything but a plain refusal nobody knows whether the reservation was
// made, so it is released then, too.
func (s *Server) undo(ctx context.Context, o *orderpb.Order, failure error) {
	switch reason.Of(failure) {
	case reason.OutOfStock, reason.UnknownSKU:
		return // nothing is held
	}
	ctx, end := ctxutil.Detached(ctx, "undo-order", undoTimeout)
	_, err := s.inventory.Release(ctx, &inventorypb.ReleaseRequest{OrderId: o.GetId()})
	if rejectErr := s.book.SetStatus(ctx, o.GetId(), orderpb.Status_STATUS_REJECTED); !errors.Is(rejectErr, ErrNotFound) {
		err = errors.Join(err, rejectErr)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "order not undone", "err", err)
	}
	end(err)
}

// reward adds loyalty points after the reply: the customer does not wait for
// them, and they are added even if the customer hangs up.
func (s *Server) reward(ctx context.Context, o *orderpb.Order) {
	err := s.rewards.Submit(ctx, func(ctx context.Context) error {
		sum, err := s.book.AddPoints(ctx, o.GetCustomer(), o.GetTotalCents()/centsPerPoint)
		if err != nil {
			return err
		}
		s.log.InfoContext(ctx, "loyalty points added", "points", sum)
		return nil
	})
	if err != nil {
		s.log.WarnContext(ctx, "no loyalty points", "err", err)
	}
}

// valid returns an InvalidArgument that says what is wrong with r.
func valid(r *orderpb.PlaceOrderRequest) error {
	switch {
	case r.GetCustomer() == "":
		return status.Error(codes.InvalidArgument, "customer must be set")
	case r.GetSku() == "":
		return status.Error(codes.InvalidArgument, "sku must be set")
	case r.GetCard() == "":
		return status.Error(codes.InvalidArgument, "card must be set")
	case r.GetQuantity() < 1 || r.GetQuantity() > 100:
		return status.Errorf(codes.InvalidArgument, "quantity is %d, must be 1 to 100", r.GetQuantity())
	default:
		return nil
	}
}

// passOn turns a failure into what the peer may know of it: its own faults and
// refusals by policies as they are, anything else without the cause, which is
// logged here.
func (s *Server) passOn(ctx context.Context, err error) error {
	_, isRefused := errors.AsType[*resilience.RejectedError](err)
	switch {
	case reason.Of(err) != "", status.Code(err) == codes.InvalidArgument:
		return err
	case errors.Is(err, payment.ErrDeclined):
		return reason.Error(codes.FailedPrecondition, reason.PaymentDeclined, "the card was declined")
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case isRefused:
		return err
	}
	s.log.ErrorContext(ctx, "order failed", "err", err)
	switch codeOf(err) {
	case codes.DeadlineExceeded:
		return reason.Hide(codes.DeadlineExceeded, "a service behind this one took too long", err)
	case codes.Unavailable:
		return reason.Hide(codes.Unavailable, "orders are unavailable", err)
	default:
		return reason.Hide(codes.Internal, "the order failed", err)
	}
}

// codeOf returns what the failure of a service behind this one is to a peer.
func codeOf(err error) codes.Code {
	if answer, ok := errors.AsType[*httpmw.StatusError](err); ok {
		switch httpmw.OutcomeOf(answer.StatusCode) {
		case resilience.OutcomeTransient, resilience.OutcomeOverload:
			return codes.Unavailable
		case resilience.OutcomeCallerDeadline:
			return codes.DeadlineExceeded
		default:
			return codes.Internal
		}
	}
	if _, unanswered := errors.AsType[*url.Error](err); unanswered {
		if errors.Is(err, context.DeadlineExceeded) {
			return codes.DeadlineExceeded
		}
		return codes.Unavailable
	}
	return status.Code(err)
}
