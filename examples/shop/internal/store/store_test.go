// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

const schema = `CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL)`

func open(t *testing.T, opts ...store.Option) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "a b?.db"), schema, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func increment(ctx context.Context, db *store.DB) error {
	return db.Update(ctx, "increment", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO counters VALUES ('a', 1) ON CONFLICT DO UPDATE SET n = n + 1`)
		return err
	})
}

func count(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	err := db.View(t.Context(), "count", func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT coalesce(sum(n), 0) FROM counters`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConcurrentUpdates(t *testing.T) {
	db := open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := increment(t.Context(), db); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := count(t, db); got != 160 {
		t.Errorf("count = %d, want 160", got)
	}
}

func TestFailedUpdateIsRolledBack(t *testing.T) {
	db := open(t)
	no := store.Refusal("no")
	err := db.Update(t.Context(), "try", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(t.Context(), `INSERT INTO counters VALUES ('a', 1)`); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Errorf("Update = %v, want the function's own error", err)
	}
	if got := count(t, db); got != 0 {
		t.Errorf("count = %d, want 0", got)
	}
}

func TestContextEndsWaitAndQuery(t *testing.T) {
	db := open(t)
	endless := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n`

	t.Run("running statement", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := db.View(ctx, "endless", func(tx *sql.Tx) error {
			var n int
			return tx.QueryRowContext(ctx, endless).Scan(&n)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("View = %v, want DeadlineExceeded", err)
		}
	})

	t.Run("waiting for the writer's turn", func(t *testing.T) {
		err := db.Update(t.Context(), "hold", func(*sql.Tx) error {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := increment(ctx, db); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Update = %v, want DeadlineExceeded", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestFault(t *testing.T) {
	db := open(t, store.WithFault(chaos.Fault{FailRate: 1}))
	if err := increment(t.Context(), db); !errors.Is(err, chaos.ErrInjected) {
		t.Errorf("Update = %v, want ErrInjected", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, chaos.ErrInjected) {
		t.Errorf("Ping = %v, want ErrInjected", err)
	}
	if err := open(t).Ping(t.Context()); err != nil {
		t.Errorf("healthy Ping = %v", err)
	}
}

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	ctx, parent := tp.Tracer("test").Start(t.Context(), "request")
	db := open(t)

	_ = db.Update(ctx, "refuse", func(*sql.Tx) error { return store.Refusal("sold out") })
	_ = db.Update(ctx, "break", func(*sql.Tx) error { return errors.New("disk on fire") })
	parent.End()

	want := map[string]codes.Code{"refuse": codes.Unset, "break": codes.Error, "request": codes.Unset}
	for _, s := range spans.Ended() {
		if got := s.Status().Code; got != want[s.Name()] {
			t.Errorf("span %q: status %v, want %v", s.Name(), got, want[s.Name()])
		}
		if s.SpanContext().TraceID() != parent.SpanContext().TraceID() {
			t.Errorf("span %q is in another trace", s.Name())
		}
	}
	if got := len(spans.Ended()); got != len(want) {
		t.Errorf("%d spans ended, want %d", got, len(want))
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "no", "such", "dir.db"), schema); err == nil {
		t.Error("Open in a missing folder succeeded")
	}
}
