// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// Schema is what [Stock] needs its database to hold.
const Schema = `
CREATE TABLE IF NOT EXISTS stock (
	sku              TEXT PRIMARY KEY,
	unit_price_cents INTEGER NOT NULL,
	available        INTEGER NOT NULL CHECK (available >= 0)
);
CREATE TABLE IF NOT EXISTS reservations (
	order_id TEXT PRIMARY KEY,
	sku      TEXT NOT NULL REFERENCES stock (sku),
	quantity INTEGER NOT NULL CHECK (quantity > 0)
);
CREATE TABLE IF NOT EXISTS deliveries (
	sku      TEXT PRIMARY KEY REFERENCES stock (sku),
	quantity INTEGER NOT NULL
);`

// Unbalanced is the query for the articles of which not as many are available or
// reserved as were delivered, and by how many.
const Unbalanced = `
SELECT d.sku, d.quantity - s.available - coalesce((SELECT sum(r.quantity) FROM reservations r WHERE r.sku = d.sku), 0) AS missing
FROM deliveries d JOIN stock s ON s.sku = d.sku WHERE missing != 0`

const (
	// ErrUnknownSKU says that there is no such article.
	ErrUnknownSKU = store.Refusal("inventory: unknown SKU")
	// ErrOutOfStock says that there are not enough of an article.
	ErrOutOfStock = store.Refusal("inventory: out of stock")
)

// Article is one line of the catalog.
type Article struct {
	SKU            string
	UnitPriceCents int64
	Available      int64
}

// Stock keeps what is available and what is reserved. Make it with [NewStock].
// It is safe for concurrent use.
type Stock struct {
	db *store.DB
}

// NewStock returns the stock in db, which was opened with [Schema].
func NewStock(db *store.DB) *Stock { return &Stock{db: db} }

// Seed adds the articles that are not in the catalog yet.
func (s *Stock) Seed(ctx context.Context, articles ...Article) error {
	return s.db.Update(ctx, "seed stock", func(tx *sql.Tx) error {
		for _, a := range articles {
			inserted, err := affected(tx.ExecContext(ctx,
				`INSERT INTO stock (sku, unit_price_cents, available) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
				a.SKU, a.UnitPriceCents, a.Available))
			if err != nil {
				return err
			}
			if inserted == 0 {
				continue
			}
			if err := deliver(ctx, tx, a.SKU, a.Available); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reserve holds quantity of an article for an order and returns the article as
// it is then. An order that has its reservation already gets the same answer.
// It fails with [ErrUnknownSKU] or [ErrOutOfStock].
func (s *Stock) Reserve(ctx context.Context, orderID, sku string, quantity int) (Article, error) {
	var a Article
	err := s.db.Update(ctx, "reserve stock", func(tx *sql.Tx) error {
		var err error
		if a, err = article(ctx, tx, sku); err != nil {
			return err
		}
		inserted, err := affected(tx.ExecContext(ctx,
			`INSERT INTO reservations (order_id, sku, quantity) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			orderID, sku, quantity))
		if err != nil || inserted == 0 {
			return err
		}
		if a.Available < int64(quantity) {
			return ErrOutOfStock
		}
		a.Available -= int64(quantity)
		return setAvailable(ctx, tx, a)
	})
	return a, err
}

// Release gives back what is held for an order and returns how many items that
// were: 0 if nothing was.
func (s *Stock) Release(ctx context.Context, orderID string) (released int, err error) {
	err = s.db.Update(ctx, "release stock", func(tx *sql.Tx) error {
		var sku string
		err := tx.QueryRowContext(ctx,
			`DELETE FROM reservations WHERE order_id = ? RETURNING sku, quantity`, orderID).Scan(&sku, &released)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE stock SET available = available + ? WHERE sku = ?`, released, sku)
		return err
	})
	return released, err
}

// Get returns an article as it is now; it fails with [ErrUnknownSKU].
func (s *Stock) Get(ctx context.Context, sku string) (a Article, err error) {
	err = s.db.View(ctx, "get stock", func(tx *sql.Tx) error {
		a, err = article(ctx, tx, sku)
		return err
	})
	return a, err
}

// Change adds delta, which may be negative, to an article's stock and returns
// the article as it is then. It fails with [ErrUnknownSKU], or with
// [ErrOutOfStock] if the stock would fall below nothing.
func (s *Stock) Change(ctx context.Context, sku string, delta int) (Article, error) {
	var a Article
	err := s.db.Update(ctx, "change stock", func(tx *sql.Tx) error {
		var err error
		if a, err = article(ctx, tx, sku); err != nil {
			return err
		}
		if a.Available += int64(delta); a.Available < 0 {
			return ErrOutOfStock
		}
		if err := setAvailable(ctx, tx, a); err != nil {
			return err
		}
		return deliver(ctx, tx, sku, int64(delta))
	})
	return a, err
}

// deliver writes down what came in, or was taken out for another reason than an order.
func deliver(ctx context.Context, tx *sql.Tx, sku string, quantity int64) error {
	_, err := tx.ExecContext(ctx,
		`INSERT INTO deliveries (sku, quantity) VALUES (?, ?) ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity`,
		sku, quantity)
	return err
}

func article(ctx context.Context, tx *sql.Tx, sku string) (Article, error) {
	a := Article{SKU: sku}
	err := tx.QueryRowContext(ctx, `SELECT unit_price_cents, available FROM stock WHERE sku = ?`, sku).
		Scan(&a.UnitPriceCents, &a.Available)
	if errors.Is(err, sql.ErrNoRows) {
		return a, ErrUnknownSKU
	}
	return a, err
}

func setAvailable(ctx context.Context, tx *sql.Tx, a Article) error {
	_, err := tx.ExecContext(ctx, `UPDATE stock SET available = ? WHERE sku = ?`, a.Available, a.SKU)
	return err
}

// affected turns the answer of ExecContext into the number of rows.
func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
