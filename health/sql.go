// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SQL returns a check of a database: it pings. Drivers that cannot ping are content
// with a connection, which may be an old one: give them a query, see [SQLQuery]. A pool
// without a free connection is a time-out, as it is for requests. A nil db gives a nil
// Check, which [Set.Add] refuses.
func SQL(db *sql.DB) Check {
	if db == nil {
		return nil
	}
	return db.PingContext
}

// SQLQuery returns a check of a database that runs a query, such as "SELECT 1", and
// looks at the first row only. How many there are does not matter.
func SQLQuery(db *sql.DB, query string) Check {
	if db == nil {
		return nil
	}
	return func(ctx context.Context) error {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return fmt.Errorf("health: query %q: %w", query, err)
		}
		rows.Next()
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return fmt.Errorf("health: query %q: %w", query, err)
		}
		return nil
	}
}
