// SPDX-License-Identifier: Apache-2.0

package payment

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// Schema is what [Ledger] needs its database to hold.
const Schema = `
CREATE TABLE IF NOT EXISTS charges (
	key          TEXT PRIMARY KEY,
	order_id     TEXT NOT NULL UNIQUE,
	id           TEXT NOT NULL UNIQUE,
	customer     TEXT NOT NULL,
	amount_cents INTEGER NOT NULL CHECK (amount_cents > 0)
);`

const (
	// ErrKeyReused says that a key was used for another charge.
	ErrKeyReused = store.Refusal("payment: idempotency key used for another charge")
	// ErrOrderCharged says that an order was charged under another key.
	ErrOrderCharged = store.Refusal("payment: order charged under another idempotency key")
)

// Ledger keeps the charges. Make it with [NewLedger]. It is safe for concurrent
// use.
type Ledger struct {
	db *store.DB
}

// NewLedger returns the ledger in db, which was opened with [Schema].
func NewLedger(db *store.DB) *Ledger { return &Ledger{db: db} }

// Enter writes a charge down, once for each key: the second time it returns the
// receipt of the first, and false. It fails with [ErrKeyReused] or
// [ErrOrderCharged] if the charge and its key do not belong together.
func (l *Ledger) Enter(ctx context.Context, key string, c Charge) (r Receipt, isNew bool, err error) {
	err = l.db.Update(ctx, "enter charge", func(tx *sql.Tx) error {
		entered, err := tx.ExecContext(ctx,
			`INSERT INTO charges (key, order_id, id, customer, amount_cents) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			key, c.OrderID, "ch_"+rand.Text(), c.Customer, c.AmountCents)
		if err != nil {
			return err
		}
		n, err := entered.RowsAffected()
		if err != nil {
			return err
		}
		isNew = n == 1
		err = tx.QueryRowContext(ctx, `SELECT id, order_id, customer, amount_cents FROM charges WHERE key = ?`, key).
			Scan(&r.ID, &r.OrderID, &r.Customer, &r.AmountCents)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrOrderCharged
		case err == nil && r != (Receipt{ID: r.ID, OrderID: c.OrderID, Customer: c.Customer, AmountCents: c.AmountCents}):
			return ErrKeyReused
		default:
			return err
		}
	})
	return r, isNew, err
}
