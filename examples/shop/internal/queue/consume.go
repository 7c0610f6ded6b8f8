// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
)

const (
	// pollInterval is how often a consumer looks for messages of other processes
	// and for those whose time has come.
	pollInterval = 50 * time.Millisecond
	// handleTimeout bounds the handling of one message. It is below [Lease], so
	// that no message is handled twice at a time.
	handleTimeout = 20 * time.Second
	// settleTimeout bounds what is written about a message afterwards.
	settleTimeout = 5 * time.Second
)

// Handler handles one message. It may get the same message twice.
type Handler func(ctx context.Context, m Message) error

// Consumer takes the messages of one topic from a queue.
type Consumer struct {
	queue   *Queue
	topic   string
	handle  Handler
	log     *slog.Logger
	open    []ctxutil.OpenOption
	workers int
}

// Consumer returns a consumer that has workers goroutines. Options say how the
// identity of a message is taken up, in particular by which tracer provider.
func (q *Queue) Consumer(topic string, workers int, handle Handler, log *slog.Logger, opts ...ctxutil.OpenOption) *Consumer {
	open := append([]ctxutil.OpenOption{ctxutil.WithLogger(log)}, opts...)
	return &Consumer{queue: q, topic: topic, handle: handle, log: log, open: open, workers: max(1, workers)}
}

// Run handles messages until ctx ends. Then it takes no more, and returns when
// those in hand are settled: what is left in the queue is for the next one.
func (c *Consumer) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range c.workers {
		workers.Go(func() { c.work(ctx) })
	}
	workers.Wait()
}

func (c *Consumer) work(ctx context.Context) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for ctx.Err() == nil {
		m, err := c.queue.claim(ctx, c.topic)
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "queue: no message", "topic", c.topic, "err", err)
		}
		if m != nil {
			c.queue.wake() // where there is one, there may be another
			c.process(context.WithoutCancel(ctx), m)
			continue
		}
		select {
		case <-c.queue.published:
		case <-poll.C:
		case <-ctx.Done():
		}
	}
}

// process handles m in the trace of the request that published it. A failure is
// logged there, and so is a panic, which does not end the worker.
func (c *Consumer) process(ctx context.Context, m *Message) {
	err := m.Envelope.Do(ctx, c.topic+" process", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeoutCause(ctx, handleTimeout, ctxutil.ErrTimeout)
		defer cancel()
		ctxutil.Add(ctx, slog.Int64("message_id", m.ID), slog.Int("attempt", m.Attempt))
		err := c.handle(ctx, *m)
		if err != nil {
			c.log.ErrorContext(ctx, "message not handled", "err", err)
		}
		return err
	}, c.open...)

	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := c.queue.settle(ctx, m, err); err != nil {
		c.log.ErrorContext(ctx, "queue: message not settled", "topic", c.topic, "message_id", m.ID, "err", err)
	}
}
