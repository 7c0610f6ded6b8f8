// SPDX-License-Identifier: Apache-2.0

package order

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// Schema is what [Book] needs its database to hold.
const Schema = `
CREATE TABLE IF NOT EXISTS orders (
	id          TEXT PRIMARY KEY,
	customer    TEXT NOT NULL,
	sku         TEXT NOT NULL,
	quantity    INTEGER NOT NULL,
	total_cents INTEGER NOT NULL,
	status      INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS loyalty (
	customer TEXT PRIMARY KEY,
	points   INTEGER NOT NULL
);`

// ErrNotFound says that there is no such order.
const ErrNotFound = store.Refusal("order: not found")

// Book keeps the orders and the customers' loyalty points. Make it with
// [NewBook]. It is safe for concurrent use.
type Book struct {
	db *store.DB
}

// NewBook returns the book in db, which was opened with [Schema].
func NewBook(db *store.DB) *Book { return &Book{db: db} }

// Insert writes a new order down.
func (b *Book) Insert(ctx context.Context, o *orderpb.Order) error {
	return b.db.Update(ctx, "insert order", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO orders (id, customer, sku, quantity, total_cents, status) VALUES (?, ?, ?, ?, ?, ?)`,
			o.GetId(), o.GetCustomer(), o.GetSku(), o.GetQuantity(), o.GetTotalCents(), o.GetStatus())
		return err
	})
}

// SetStatus changes the status of an order; it fails with [ErrNotFound].
func (b *Book) SetStatus(ctx context.Context, id string, s orderpb.Status) error {
	return b.db.Update(ctx, "set order status", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE orders SET status = ? WHERE id = ?`, s, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
}

// Get returns an order; it fails with [ErrNotFound].
func (b *Book) Get(ctx context.Context, id string) (*orderpb.Order, error) {
	o := &orderpb.Order{Id: id}
	err := b.db.View(ctx, "get order", func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx,
			`SELECT customer, sku, quantity, total_cents, status FROM orders WHERE id = ?`, id).
			Scan(&o.Customer, &o.Sku, &o.Quantity, &o.TotalCents, &o.Status)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// AddPoints adds loyalty points to a customer's and returns the sum.
func (b *Book) AddPoints(ctx context.Context, customer string, points int64) (sum int64, err error) {
	err = b.db.Update(ctx, "add loyalty points", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx,
			`INSERT INTO loyalty (customer, points) VALUES (?, ?)
			 ON CONFLICT DO UPDATE SET points = points + excluded.points RETURNING points`,
			customer, points).Scan(&sum)
	})
	return sum, err
}
