// SPDX-License-Identifier: Apache-2.0

// Package store opens a service's SQLite database and runs its transactions:
// each one bounded by its context, seen as a span, and open to injected faults.
// It knows no tables; every service brings its own schema.
//
//	db, err := store.Open(ctx, filepath.Join(dir, "order.db"), schema)
//	err = db.Update(ctx, "insert order", func(tx *sql.Tx) error {
//		_, err := tx.ExecContext(ctx, `INSERT INTO orders …`)
//		return err
//	})
//
// # Concurrency
//
// SQLite has one writer at a time. Waiting for that turn inside SQLite ignores
// contexts, so the waiting is done in database/sql, which does not: writes have
// a pool of one connection, reads their own of several.
package store
