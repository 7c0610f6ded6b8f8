// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

const (
	// MaxAttempts is how often a message is delivered at most.
	MaxAttempts = 3
	// Lease is how long a consumer has for a message before it is delivered again.
	Lease = 30 * time.Second
	// RetryAfter is the time before the second attempt; it doubles each time.
	RetryAfter = 100 * time.Millisecond
)

// Schema is what [Queue] needs its database to hold. Times are in Unix
// milliseconds.
const Schema = `
CREATE TABLE IF NOT EXISTS messages (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	topic    TEXT NOT NULL,
	envelope TEXT NOT NULL,
	body     TEXT NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	visible  INTEGER NOT NULL,
	dead     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS messages_next ON messages (topic, dead, visible);`

// Message is what a consumer gets.
type Message struct {
	ID int64
	// Envelope is the identity of the request that published the message.
	Envelope ctxutil.Envelope
	// Body is the message in JSON.
	Body json.RawMessage
	// Attempt counts from 1.
	Attempt int
}

// Queue is a message queue. Make it with [New]. It is safe for concurrent use.
type Queue struct {
	db *store.DB
	// published wakes a consumer in this process; those in others poll.
	published chan struct{}
}

// New returns the queue in db, which was opened with [Schema].
func New(db *store.DB) *Queue { return &Queue{db: db, published: make(chan struct{}, 1)} }

// Publish puts message, as JSON, on a topic, together with the identity of the
// request in ctx.
func (q *Queue) Publish(ctx context.Context, topic string, message any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	envelope, err := json.Marshal(ctxutil.Pack(ctx))
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	err = q.db.Update(ctx, "publish message", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO messages (topic, envelope, body, visible) VALUES (?, ?, ?, ?)`,
			topic, string(envelope), string(body), time.Now().UnixMilli())
		return err
	})
	if err != nil {
		return err
	}
	q.wake()
	return nil
}

// Len returns how many messages of a topic wait, for a first or another
// attempt, or are being handled; those put aside do not count.
func (q *Queue) Len(ctx context.Context, topic string) (n int, err error) {
	err = q.db.View(ctx, "count messages", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM messages WHERE topic = ? AND NOT dead`, topic).Scan(&n)
	})
	return n, err
}

func (q *Queue) wake() {
	select {
	case q.published <- struct{}{}:
	default:
	}
}

// claim takes the next message of a topic and hides it from others for the
// duration of a lease; nil if there is none.
func (q *Queue) claim(ctx context.Context, topic string) (*Message, error) {
	var m Message
	var envelope, body string
	now := time.Now()
	err := q.db.Update(ctx, "claim message", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx,
			`UPDATE messages SET attempts = attempts + 1, visible = ?
			 WHERE id = (SELECT id FROM messages WHERE topic = ? AND NOT dead AND visible <= ? ORDER BY visible, id LIMIT 1)
			 RETURNING id, envelope, body, attempts`,
			now.Add(Lease).UnixMilli(), topic, now.UnixMilli()).
			Scan(&m.ID, &envelope, &body, &m.Attempt)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m.Body = json.RawMessage(body)
	// What is no envelope is none: the message is handled all the same.
	_ = json.Unmarshal([]byte(envelope), &m.Envelope)
	return &m, nil
}

// settle removes a message that was handled, and makes one that was not visible
// again later, or puts it aside after the last attempt.
func (q *Queue) settle(ctx context.Context, m *Message, failure error) error {
	return q.db.Update(ctx, "settle message", func(tx *sql.Tx) error {
		if failure == nil {
			_, err := tx.ExecContext(ctx, `DELETE FROM messages WHERE id = ?`, m.ID)
			return err
		}
		retryAfter := RetryAfter << (m.Attempt - 1)
		_, err := tx.ExecContext(ctx, `UPDATE messages SET visible = ?, dead = ? WHERE id = ?`,
			time.Now().Add(retryAfter).UnixMilli(), m.Attempt >= MaxAttempts, m.ID)
		return err
	})
}
