// SPDX-License-Identifier: Apache-2.0

package payment

import (
	"context"
	"crypto/rand"
	"database/sql"

	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// Schema is what [Ledger] needs its database to hold.
const Schema = `
CREATE TABLE IF NOT EXISTS charges (
	order_id     TEXT PRIMARY KEY,
	id           TEXT NOT NULL UNIQUE,
	customer     TEXT NOT NULL,
	amount_cents INTEGER NOT NULL CHECK (amount_cents > 0)
);`

// Ledger keeps the charges. Make it with [NewLedger]. It is safe for concurrent
// use.
type Ledger struct {
	db *store.DB
}

// NewLedger returns the ledger in db, which was opened with [Schema].
func NewLedger(db *store.DB) *Ledger { return &Ledger{db: db} }

// Enter writes a charge down, once for each order: the second time it returns
// the receipt of the first, and false.
func (l *Ledger) Enter(ctx context.Context, c Charge) (r Receipt, isNew bool, err error) {
	err = l.db.Update(ctx, "enter charge", func(tx *sql.Tx) error {
		entered, err := tx.ExecContext(ctx,
			`INSERT INTO charges (order_id, id, customer, amount_cents) VALUES (?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING`,
			c.OrderID, "ch_"+rand.Text(), c.Customer, c.AmountCents)
		if err != nil {
			return err
		}
		n, err := entered.RowsAffected()
		if err != nil {
			return err
		}
		isNew = n == 1
		r.OrderID = c.OrderID
		return tx.QueryRowContext(ctx, `SELECT id, customer, amount_cents FROM charges WHERE order_id = ?`, c.OrderID).
			Scan(&r.ID, &r.Customer, &r.AmountCents)
	})
	return r, isNew, err
}
