// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/queue"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// newPayment wires the payment service: HTTP in front, a database and the queue
// behind.
func newPayment(ctx context.Context, e *env) (*service, error) {
	db, err := e.open(ctx, Payment, payment.Schema)
	if err != nil {
		return nil, err
	}
	broker, err := e.openQueue(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	svc, err := e.newService(Payment, fairlead.WithHTTP(loopback), fairlead.WithCheck("db", db.Ping))
	if err != nil {
		return nil, errors.Join(err, db.Close(), broker.Close())
	}
	svc.closers = append(svc.closers, db, broker)

	handler := payment.NewHandler(payment.NewLedger(db), queue.New(broker), e.cfg.Faults[chaos.Payment], svc.Logger())
	svc.HTTP().Handle("POST /charges", handler)
	return svc, nil
}

// openQueue opens the queue that the payment service writes and the notify
// service reads. Like a broker elsewhere it is not what -fail db= is about.
func (e *env) openQueue(ctx context.Context) (*store.DB, error) {
	return store.Open(ctx, e.file("queue"), queue.Schema)
}
