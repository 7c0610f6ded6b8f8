// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite" // the driver "sqlite", written in Go

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
)

const (
	// readers bounds the connections for reading.
	readers = 4
	// busyTimeout is how long SQLite waits for another process's lock.
	busyTimeout = 2 * time.Second
	// scopeName is the instrumentation scope of the spans.
	scopeName = "github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// DB is one service's database. Make it with [Open], end it with [DB.Close]. It
// is safe for concurrent use.
type DB struct {
	write, read *sql.DB
	trouble     *chaos.Trouble
}

// Option configures a [DB].
type Option interface{ apply(*DB) }

type optionFunc func(*DB)

func (f optionFunc) apply(db *DB) { f(db) }

// WithFault makes every transaction and every ping suffer f. The default, and
// the zero value, is a healthy database.
func WithFault(f chaos.Fault) Option {
	return optionFunc(func(db *DB) { db.trouble = chaos.Begin(f) })
}

// Open opens the database in the file at path, makes it if needed, and applies
// schema, which must be fit to be applied twice.
func Open(ctx context.Context, path, schema string, opts ...Option) (*DB, error) {
	write, err := open(path, "immediate", 1)
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	read, err := open(path, "deferred", readers)
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, errors.Join(err, write.Close()))
	}
	db := &DB{write: write, read: read, trouble: chaos.Begin(chaos.Fault{})}
	for _, o := range opts {
		o.apply(db)
	}
	if _, err := write.ExecContext(ctx, schema); err != nil {
		return nil, fmt.Errorf("store: schema of %s: %w", path, errors.Join(err, db.Close()))
	}
	return db, nil
}

// open returns a pool whose connections begin transactions in the given mode.
func open(path, mode string, conns int) (*sql.DB, error) {
	q := url.Values{
		"_txlock": {mode},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), // first: the next one may need it
			"journal_mode(WAL)",
			"synchronous(NORMAL)",
			"foreign_keys(ON)",
		},
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, nil
}

// Close closes the database once the transactions under way are over.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.trouble.Strike(ctx); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return db.read.PingContext(ctx)
}

// Update runs fn in a transaction that may write, and commits it if fn returns
// nil. Operation names it in its span and in errors; it must be a constant.
func (db *DB) Update(ctx context.Context, operation string, fn func(*sql.Tx) error) error {
	return db.transact(ctx, db.write, operation, fn)
}

// View runs fn in a transaction that only reads.
func (db *DB) View(ctx context.Context, operation string, fn func(*sql.Tx) error) error {
	return db.transact(ctx, db.read, operation, fn)
}

func (db *DB) transact(ctx context.Context, pool *sql.DB, operation string, fn func(*sql.Tx) error) (err error) {
	ctx, span := trace.SpanFromContext(ctx).TracerProvider().Tracer(scopeName).Start(ctx, operation,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "sqlite")))
	defer func() { end(span, err) }()

	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: %s: %w", operation, cause(ctx, err))
	}
	defer tx.Rollback() // after a commit it has nothing to do

	// Trouble strikes while the connection is held, as a slow disk would.
	if err := db.trouble.Strike(ctx); err != nil {
		return fmt.Errorf("store: %s: %w", operation, err)
	}
	if err := fn(tx); err != nil {
		return cause(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("store: %s: commit: %w", operation, cause(ctx, err))
	}
	return nil
}

// cause returns the context's error if that is why err happened: an interrupted
// statement says "interrupted", a rolled back transaction says it is done.
func cause(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		return fmt.Errorf("%w (%w)", ctxErr, err)
	}
	return err
}

// end ends span; err is an error of the database unless it is a [Refusal].
func end(span trace.Span, err error) {
	defer span.End()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[Refusal](err); ok {
		return
	}
	span.SetStatus(codes.Error, err.Error())
}

// Refusal is an error that says no by the rules of the shop: the database did
// its work, and its span does not fail. A comparable Refusal can be declared as
// a constant.
type Refusal string

// Error returns the text of r.
func (r Refusal) Error() string { return string(r) }
