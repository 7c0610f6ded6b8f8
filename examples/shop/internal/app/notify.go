// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/notify"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/queue"
)

// mailWorkers is how many receipts are mailed at a time.
const mailWorkers = 4

// newNotify wires the notify service: no server but the admin's, only workers
// on a queue.
func newNotify(ctx context.Context, e *env) (*service, error) {
	db, err := e.open(ctx, Notify, notify.Schema)
	if err != nil {
		return nil, err
	}
	broker, err := e.openQueue(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	receipts := queue.New(broker)
	working, finish := context.WithCancel(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	svc, err := e.newService(Notify, fairlead.WithCheck("db", db.Ping),
		fairlead.WithDrain(func(ctx context.Context) error {
			// Receipts in the queue would keep; but whoever stops the shop wants to
			// see the end of every request.
			err := waitEmpty(ctx, receipts)
			finish()
			workers.Wait()
			return err
		}))
	if err != nil {
		finish()
		return nil, errors.Join(err, db.Close(), broker.Close())
	}
	svc.closers = append(svc.closers, db, broker)

	mailer := notify.NewMailer(db, svc.Logger())
	consumer := receipts.Consumer(payment.TopicReceipts, mailWorkers, mailer.Handle, svc.Logger(),
		ctxutil.WithTracerProvider(svc.TracerProvider()))
	workers.Go(func() { consumer.Run(working) })
	return svc, nil
}

// waitEmpty waits until all receipts are mailed or put aside.
func waitEmpty(ctx context.Context, q *queue.Queue) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		n, err := q.Len(ctx, payment.TopicReceipts)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
