// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/order"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/httpmw"
)

// newOrder wires the order service: gRPC in front; a database, the inventory
// over gRPC and the payment service over HTTP behind.
func newOrder(ctx context.Context, e *env) (*service, error) {
	db, err := e.open(ctx, Order, order.Schema)
	if err != nil {
		return nil, err
	}
	var server *order.Server
	svc, err := e.newService(Order, fairlead.WithGRPC(loopback), fairlead.WithCheck("db", db.Ping),
		fairlead.WithDrain(func(ctx context.Context) error { return server.Close(ctx) }))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	svc.closers = append(svc.closers, db)

	inventory, err := svc.Dial(Inventory)
	if err != nil {
		return svc.abandon(err)
	}
	client, err := svc.HTTPClient(Payment, httpmw.WithIdleTimeout(clientIdle))
	if err != nil {
		return svc.abandon(err)
	}
	payments := payment.NewClient(client, "http://"+Payment)
	server, err = order.NewServer(order.NewBook(db), inventorypb.NewInventoryServiceClient(inventory), payments, svc.Logger(), svc.MetricsRegistry())
	if err != nil {
		return svc.abandon(err)
	}
	orderpb.RegisterOrderServiceServer(svc.GRPC(), server)
	return svc, nil
}
