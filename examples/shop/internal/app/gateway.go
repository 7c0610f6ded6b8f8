// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

// newGateway wires the gateway: HTTP in front, two gRPC services behind.
func newGateway(_ context.Context, e *env) (*service, error) {
	svc, err := e.newService(Gateway, fairlead.WithHTTP(e.cfg.gatewayAddr()))
	if err != nil {
		return nil, err
	}
	orders, err := svc.Dial(Order)
	if err != nil {
		return svc.abandon(err)
	}
	unknown, err := stockUnknown(e, svc)
	if err != nil {
		return svc.abandon(err)
	}
	inventory, err := svc.Dial(Inventory, unknown)
	if err != nil {
		return svc.abandon(err)
	}
	gw := gateway.New(orderpb.NewOrderServiceClient(orders), inventorypb.NewInventoryServiceClient(inventory), svc.Logger())
	gw.Routes(svc.HTTP())
	return svc, nil
}

// stockUnknown makes the inventory say that it does not know how many of an article
// there are, instead of failing: the page of an article is worth having without.
func stockUnknown(e *env, svc *service) (interceptors.ClientOption, error) {
	f, err := fallback.New("stock unknown", fallback.Value(&inventorypb.GetStockResponse{}),
		fallback.WithObserver(resilience.Observers(svc.Observer(), e.journal.Observer(Gateway))))
	if err != nil {
		return nil, err
	}
	standIn := interceptors.Fallback(f, inventorypb.InventoryService_GetStock_FullMethodName)
	return interceptors.WithFallbacks(standIn), nil
}
