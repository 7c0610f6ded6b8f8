// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
)

// Server is the gRPC face of a [Stock]. It is safe for concurrent use.
type Server struct {
	inventorypb.UnimplementedInventoryServiceServer

	stock   *Stock
	trouble *chaos.Trouble
	log     *slog.Logger
}

var _ inventorypb.InventoryServiceServer = (*Server)(nil)

// NewServer returns the server of stock. Each call but the warehouse's suffers
// fault first.
func NewServer(stock *Stock, fault chaos.Fault, log *slog.Logger) *Server {
	return &Server{stock: stock, trouble: chaos.Begin(fault), log: log}
}

// Reserve implements [inventorypb.InventoryServiceServer].
func (s *Server) Reserve(ctx context.Context, r *inventorypb.ReserveRequest) (*inventorypb.ReserveResponse, error) {
	ctxutil.Add(ctx, slog.String("order_id", r.GetOrderId()), slog.String("sku", r.GetSku()))
	if r.GetOrderId() == "" || r.GetSku() == "" || r.GetQuantity() <= 0 {
		return nil, status.Error(codes.InvalidArgument, "order_id and sku must be set and quantity must be positive")
	}
	chaos.Trip(r.GetSku())

	if err := s.trouble.Strike(ctx); err != nil {
		return nil, s.statusOf(ctx, err, r.GetSku())
	}
	a, err := s.stock.Reserve(ctx, r.GetOrderId(), r.GetSku(), int(r.GetQuantity()))
	if err != nil {
		return nil, s.statusOf(ctx, err, r.GetSku())
	}
	s.log.InfoContext(ctx, "reserved", "quantity", r.GetQuantity(), "remaining", a.Available)
	return &inventorypb.ReserveResponse{UnitPriceCents: a.UnitPriceCents, Remaining: a.Available}, nil
}

// Release implements [inventorypb.InventoryServiceServer].
func (s *Server) Release(ctx context.Context, r *inventorypb.ReleaseRequest) (*inventorypb.ReleaseResponse, error) {
	ctxutil.Add(ctx, slog.String("order_id", r.GetOrderId()))
	if err := s.trouble.Strike(ctx); err != nil {
		return nil, s.statusOf(ctx, err, "")
	}
	n, err := s.stock.Release(ctx, r.GetOrderId())
	if err != nil {
		return nil, s.statusOf(ctx, err, "")
	}
	s.log.InfoContext(ctx, "released", "quantity", n)
	return &inventorypb.ReleaseResponse{Released: int32(n)}, nil
}

// GetStock implements [inventorypb.InventoryServiceServer].
func (s *Server) GetStock(ctx context.Context, r *inventorypb.GetStockRequest) (*inventorypb.GetStockResponse, error) {
	ctxutil.Add(ctx, slog.String("sku", r.GetSku()))
	if err := s.trouble.Strike(ctx); err != nil {
		return nil, s.statusOf(ctx, err, r.GetSku())
	}
	a, err := s.stock.Get(ctx, r.GetSku())
	if err != nil {
		return nil, s.statusOf(ctx, err, r.GetSku())
	}
	return &inventorypb.GetStockResponse{Available: &a.Available}, nil
}

// SyncStock implements [inventorypb.InventoryServiceServer].
func (s *Server) SyncStock(stream grpc.BidiStreamingServer[inventorypb.StockChange, inventorypb.StockLevel]) error {
	ctx := stream.Context()
	changes := 0
	defer func() { ctxutil.Add(ctx, slog.Int("stock_changes", changes)) }()
	for {
		c, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a, err := s.stock.Change(ctx, c.GetSku(), int(c.GetDelta()))
		if err != nil {
			return s.statusOf(ctx, err, c.GetSku())
		}
		changes++
		s.log.DebugContext(ctx, "stock changed", "sku", a.SKU, "delta", c.GetDelta(), "available", a.Available)
		if err := stream.Send(&inventorypb.StockLevel{Sku: a.SKU, Available: a.Available}); err != nil {
			return err
		}
	}
}

// statusOf turns an error of the domain into what the peer may know of it. What
// it may not know is logged here.
func (s *Server) statusOf(ctx context.Context, err error, sku string) error {
	switch {
	case errors.Is(err, ErrUnknownSKU):
		return reason.Error(codes.NotFound, reason.UnknownSKU, fmt.Sprintf("no article %q", sku))
	case errors.Is(err, ErrOutOfStock):
		return reason.Error(codes.FailedPrecondition, reason.OutOfStock, fmt.Sprintf("not enough of article %q", sku))
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	default:
		s.log.ErrorContext(ctx, "stock failed", "err", err)
		return status.Error(codes.Unavailable, "stock is unavailable")
	}
}
