// SPDX-License-Identifier: Apache-2.0

// Package audit compares the books of the shop's services with each other: what was
// ordered, what was reserved, and what was charged. Each service keeps its own, and
// nothing but the requests between them keeps them in step; several instances write
// in each.
//
//	books, err := audit.Read(ctx, dir)
//	books.Wrong // what contradicts
package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/inventory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/order"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// maxWrong bounds how much is listed of what is wrong.
const maxWrong = 10

// Books is what the services have written down.
type Books struct {
	// Confirmed, Rejected and Pending count orders. An order is pending for long only if
	// the instance that took it died.
	Confirmed, Rejected, Pending int
	// Cents is what the confirmed orders cost.
	Cents int64
	// Reserved counts the articles that are held for orders.
	Reserved int64
	// Unclaimed counts charges for orders that are not confirmed: of customers who left,
	// or whose answer was lost, when the money was taken already.
	Unclaimed int
	// Wrong is what cannot be, whatever failed and whenever.
	Wrong []string
}

type entry struct {
	status   orderpb.Status
	quantity int64
	cents    int64
}

// Read reads the books from the folder of the databases.
func Read(ctx context.Context, dir string) (Books, error) {
	var b Books
	orders := make(map[string]entry)
	var order1 entry
	var id string
	err := each(ctx, dir, app.Order, order.Schema, `SELECT id, status, quantity, total_cents FROM orders`,
		[]any{&id, &order1.status, &order1.quantity, &order1.cents}, func() { orders[id] = order1 })
	reserved, charged := make(map[string]int64), make(map[string]int64)
	var quantity int64
	err = errors.Join(err, each(ctx, dir, app.Inventory, inventory.Schema, `SELECT order_id, quantity FROM reservations`,
		[]any{&id, &quantity}, func() { reserved[id] = quantity; b.Reserved += quantity }))
	var cents int64
	err = errors.Join(err, each(ctx, dir, app.Payment, payment.Schema, `SELECT order_id, amount_cents FROM charges`,
		[]any{&id, &cents}, func() { charged[id] = cents }))
	var sku string
	var missing int64
	err = errors.Join(err, each(ctx, dir, app.Inventory, inventory.Schema, inventory.Unbalanced,
		[]any{&sku, &missing}, func() { b.wrong("%s: %d more were delivered than are there, or held for orders", sku, missing) }))
	for id, o := range orders {
		b.add(id, o, reserved, charged)
	}
	return b, err
}

// add enters an order, and compares what the others know of it.
func (b *Books) add(id string, o entry, reserved, charged map[string]int64) {
	switch o.status {
	case orderpb.Status_STATUS_CONFIRMED:
		b.Confirmed++
		b.Cents += o.cents
		if charged[id] != o.cents {
			b.wrong("%s is confirmed for %d cents, and %d were charged", id, o.cents, charged[id])
		}
		if reserved[id] != o.quantity {
			b.wrong("%s is confirmed for %d articles, and %d are held", id, o.quantity, reserved[id])
		}
		return
	case orderpb.Status_STATUS_REJECTED:
		b.Rejected++
	default:
		b.Pending++
	}
	if charged[id] != 0 {
		b.Unclaimed++
	}
}

func (b *Books) wrong(format string, args ...any) {
	if len(b.Wrong) < maxWrong {
		b.Wrong = append(b.Wrong, fmt.Sprintf(format, args...))
	}
}

// each calls row for each row of a query, whose columns are in to.
func each(ctx context.Context, dir, service, schema, query string, to []any, row func()) error {
	db, err := store.Open(ctx, filepath.Join(dir, service+".db"), schema)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	err = db.View(ctx, "audit", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := rows.Scan(to...); err != nil {
				return err
			}
			row()
		}
		return rows.Err()
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("audit: %s: %w", service, err)
	}
	return nil
}
