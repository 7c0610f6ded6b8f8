// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/shop/internal/catalog"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/inventory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// newInventory wires the inventory: gRPC in front, a database behind.
func newInventory(ctx context.Context, e *env) (*service, error) {
	// The shelves are filled before anything can go wrong on purpose.
	if err := fillShelves(ctx, e); err != nil {
		return nil, err
	}
	db, err := e.open(ctx, Inventory, inventory.Schema)
	if err != nil {
		return nil, err
	}
	svc, err := e.newService(Inventory, fairlead.WithGRPC(loopback), fairlead.WithCheck("db", db.Ping))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	svc.closers = append(svc.closers, db)

	server := inventory.NewServer(inventory.NewStock(db), e.cfg.Faults[chaos.Inventory], svc.Logger())
	inventorypb.RegisterInventoryServiceServer(svc.GRPC(), server)
	return svc, nil
}

func fillShelves(ctx context.Context, e *env) error {
	db, err := store.Open(ctx, e.file(Inventory), inventory.Schema)
	if err != nil {
		return err
	}
	return errors.Join(inventory.NewStock(db).Seed(ctx, catalog.Articles()...), db.Close())
}
