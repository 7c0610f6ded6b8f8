// SPDX-License-Identifier: Apache-2.0

package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/queue"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
	"github.com/fairlead-go/fairlead/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *queue.Queue {
	t.Helper()
	db, err := store.Open(t.Context(), path, queue.Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return queue.New(db)
}

// consume runs handle until it has said enough often enough, and then stops.
func consume(t *testing.T, q *queue.Queue, times int, handle queue.Handler, log *slog.Logger, opts ...ctxutil.OpenOption) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	c := q.Consumer("t", 3, func(ctx context.Context, m queue.Message) error {
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			if times--; times == 0 {
				cancel()
			}
		}()
		return handle(ctx, m)
	}, log, opts...)
	c.Run(ctx)
}

func length(t *testing.T, q *queue.Queue) int {
	t.Helper()
	n, err := q.Len(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryMessageOnceAcrossProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	producer, consumer := open(t, path), open(t, path) // two connections, as two processes have
	const messages = 50
	for i := range messages {
		if err := producer.Publish(t.Context(), "t", i); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.Publish(t.Context(), "another topic", 0); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	consume(t, consumer, messages, func(_ context.Context, m queue.Message) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(m.Body)]++
		return nil
	}, slog.New(slog.DiscardHandler))
	if len(seen) != messages {
		t.Errorf("%d different messages, want %d: %v", len(seen), messages, seen)
	}
	if n := length(t, producer); n != 0 {
		t.Errorf("%d messages left", n)
	}
}

func TestFailedMessageIsRetriedAndPutAside(t *testing.T) {
	q := open(t, filepath.Join(t.TempDir(), "queue.db"))
	if err := q.Publish(t.Context(), "t", "bad"); err != nil {
		t.Fatal(err)
	}
	var attempts []int
	consume(t, q, queue.MaxAttempts, func(_ context.Context, m queue.Message) error {
		attempts = append(attempts, m.Attempt)
		if m.Attempt == 2 {
			panic("a bug")
		}
		return errors.New("no")
	}, slog.New(slog.DiscardHandler))
	if len(attempts) != queue.MaxAttempts || attempts[queue.MaxAttempts-1] != queue.MaxAttempts {
		t.Errorf("attempts %v, want 1 to %d", attempts, queue.MaxAttempts)
	}
	if n := length(t, q); n != 0 {
		t.Errorf("%d messages left, want it put aside", n)
	}
}

func TestIdentityCrossesTheQueue(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	q := open(t, filepath.Join(t.TempDir(), "queue.db"))
	ctx, request := tp.Tracer("test").Start(t.Context(), "request")
	if err := q.Publish(ctx, "t", "hello"); err != nil {
		t.Fatal(err)
	}
	request.End()

	var log strings.Builder
	var inHandler trace.SpanContext
	consume(t, q, 1, func(ctx context.Context, m queue.Message) error {
		inHandler = trace.SpanContextFromContext(ctx)
		return errors.New("cannot do that")
	}, slog.New(logging.NewHandler(slog.NewTextHandler(&log, nil))), ctxutil.WithTracerProvider(tp))

	if inHandler.TraceID() != request.SpanContext().TraceID() {
		t.Errorf("handled in trace %v, published in %v", inHandler.TraceID(), request.SpanContext().TraceID())
	}
	if want := "trace_id=" + request.SpanContext().TraceID().String(); !strings.Contains(log.String(), want) {
		t.Errorf("log %q, want %q in it", log.String(), want)
	}
	for _, s := range spans.Ended() {
		if s.Name() == "t process" && s.Parent().SpanID() == request.SpanContext().SpanID() {
			return
		}
	}
	t.Errorf("no span %q below the request's", "t process")
}

func TestGarbageInEnvelope(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	q := open(t, path)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.SpanContext{})
	if err := q.Publish(ctx, "t", "x"); err != nil {
		t.Fatal(err)
	}
	corrupt(t, path)
	handled := false
	consume(t, q, 1, func(context.Context, queue.Message) error { handled = true; return nil }, slog.New(slog.DiscardHandler))
	if !handled {
		t.Error("a message with a broken envelope was not handled")
	}
}

// corrupt breaks the envelopes of all messages in the file at path.
func corrupt(t *testing.T, path string) {
	t.Helper()
	db, err := store.Open(t.Context(), path, queue.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(t.Context(), "corrupt", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE messages SET envelope = '{"traceparent":7'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
