// SPDX-License-Identifier: Apache-2.0

// Package queue is the shop's message queue: durable, at least once, in a SQLite
// file that several processes may open. It stands for Kafka, NATS or SQS, and
// does with the request's identity what one would do there: it travels in the
// message, as headers.
//
//	err := q.Publish(ctx, "receipts", receipt) // ctx is the request's
//
//	consumer := q.Consumer("receipts", 4, func(ctx context.Context, m queue.Message) error {
//		… // in the trace of the request that published m
//	}, logger)
//	consumer.Run(ctx)
//
// A message whose handler fails is delivered again after a while, and after
// [MaxAttempts] put aside.
package queue
