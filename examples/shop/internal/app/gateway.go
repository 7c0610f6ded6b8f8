// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
)

// newGateway wires the gateway: HTTP in front, two gRPC services behind.
func newGateway(_ context.Context, e *env) (*service, error) {
	svc, err := e.newService(Gateway, fairlead.WithHTTP(e.cfg.gatewayAddr()))
	if err != nil {
		return nil, err
	}
	orders, err := svc.dial(e, Order)
	if err != nil {
		return svc.abandon(err)
	}
	inventory, err := svc.dial(e, Inventory)
	if err != nil {
		return svc.abandon(err)
	}
	gw := gateway.New(orderpb.NewOrderServiceClient(orders), inventorypb.NewInventoryServiceClient(inventory), svc.Logger())
	gw.Routes(svc.HTTP())
	return svc, nil
}
