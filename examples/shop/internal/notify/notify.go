// SPDX-License-Identifier: Apache-2.0

// Package notify sends customers their receipts. It takes them from the queue,
// in worker goroutines, long after the request that asked for them was answered;
// and still in its trace.
//
//	mailer := notify.NewMailer(db, logger)
//	consumer := q.Consumer(payment.TopicReceipts, 4, mailer.Handle, logger)
//	consumer.Run(ctx)
package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/queue"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// Schema is what [Mailer] needs its database to hold.
const Schema = `
CREATE TABLE IF NOT EXISTS sent (
	charge_id TEXT PRIMARY KEY,
	customer  TEXT NOT NULL
);`

// Mailer mails receipts. Make it with [NewMailer]. It is safe for concurrent use.
type Mailer struct {
	db  *store.DB
	log *slog.Logger
}

// NewMailer returns a mailer that keeps in db, which was opened with [Schema],
// what it has sent.
func NewMailer(db *store.DB, log *slog.Logger) *Mailer { return &Mailer{db: db, log: log} }

var _ queue.Handler = (*Mailer)(nil).Handle

// Handle mails the receipt in m. A queue may deliver twice; a customer gets one
// mail.
func (n *Mailer) Handle(ctx context.Context, m queue.Message) error {
	var r payment.Receipt
	if err := json.Unmarshal(m.Body, &r); err != nil {
		return fmt.Errorf("notify: message %d is no receipt: %w", m.ID, err)
	}
	ctxutil.Add(ctx, slog.String("order_id", r.OrderID), slog.String("charge_id", r.ID))
	chaos.Trip(r.Customer)

	var isNew bool
	err := n.db.Update(ctx, "note receipt", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO sent (charge_id, customer) VALUES (?, ?) ON CONFLICT DO NOTHING`, r.ID, r.Customer)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		isNew = rows == 1
		return err
	})
	if err != nil {
		return err
	}
	if !isNew {
		n.log.InfoContext(ctx, "receipt was mailed before")
		return nil
	}
	// Here a real shop would speak SMTP.
	n.log.InfoContext(ctx, "receipt mailed", "customer", r.Customer)
	return nil
}

// Sent returns how many receipts a customer was mailed.
func (n *Mailer) Sent(ctx context.Context, customer string) (count int, err error) {
	err = n.db.View(ctx, "count receipts", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM sent WHERE customer = ?`, customer).Scan(&count)
	})
	return count, err
}
