// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Config is what a queue needs; every field but OnOverflow is required.
type Config[T any] struct {
	// QueueSize bounds the items waiting; an item that finds the queue full is dropped.
	QueueSize int
	// BatchSize is the most items one Export gets; at most QueueSize.
	BatchSize int
	// Delay is the longest an item waits for its batch to fill.
	Delay time.Duration
	// Timeout bounds one Export.
	Timeout time.Duration
	// Export sends one batch. It is called by one goroutine at a time, must not
	// keep the slice, and must return when its context is done.
	Export func(context.Context, []T) error
	// OnOverflow is told when the queue starts to overflow and when it has
	// stopped, with the items lost so far. The worker calls it, not the producer.
	OnOverflow func(overflowing bool, lost uint64)
}

// Queue hands items to Export in batches from one worker goroutine, which runs
// from New to Shutdown. It is safe for concurrent use.
type Queue[T any] struct {
	cfg Config[T]

	mu      sync.Mutex
	ring    []T
	head, n int
	closed  bool
	full    uint64 // dropped because the queue was full
	late    uint64 // dropped because of shutdown

	wake  chan struct{}
	flush chan request
	stop  chan struct{}
	done  chan struct{}

	stopOnce sync.Once
	stopCtx  context.Context // set before stop is closed
	stopErr  error           // set before done is closed

	base    context.Context // parent of every export; ends when shutdown runs out of time
	abandon context.CancelFunc

	scratch     []T // the worker's batch
	overflowing bool
	said        uint64
}

type request struct {
	ctx    context.Context
	result chan error
}

// New starts the worker.
func New[T any](cfg Config[T]) *Queue[T] {
	q := &Queue[T]{
		cfg:     cfg,
		ring:    make([]T, cfg.QueueSize),
		wake:    make(chan struct{}, 1),
		flush:   make(chan request),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		scratch: make([]T, cfg.BatchSize),
	}
	q.base, q.abandon = context.WithCancel(context.Background())
	go q.run()
	return q
}

// Add queues v, or drops and counts it. It never blocks on an export.
func (q *Queue[T]) Add(v T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		q.late++
		return
	case q.n == len(q.ring):
		q.full++
		return
	}
	q.ring[(q.head+q.n)%len(q.ring)] = v
	q.n++
	if q.n >= q.cfg.BatchSize {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Counts is what the queue holds and what it has lost.
type Counts struct {
	Queued   int
	Capacity int
	// Full counts items that found the queue full.
	Full uint64
	// Late counts items that came after shutdown, or that it had no time for.
	Late uint64
}

// Counts returns the current numbers.
func (q *Queue[T]) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Counts{Queued: q.n, Capacity: q.cfg.QueueSize, Full: q.full, Late: q.late}
}

// Flush exports what was queued when it was called. It stops at the first
// failure and leaves the rest queued.
func (q *Queue[T]) Flush(ctx context.Context) error {
	req := request{ctx: ctx, result: make(chan error, 1)}
	select {
	case q.flush <- req:
	case <-q.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-req.result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Shutdown refuses further items, exports what is queued and ends the worker.
// If ctx ends first, the running export is cancelled and the rest is dropped
// and counted. Later calls wait for the first one and return its error.
func (q *Queue[T]) Shutdown(ctx context.Context) error {
	first := false
	q.stopOnce.Do(func() {
		first = true
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
		q.stopCtx = ctx
		close(q.stop)
	})
	select {
	case <-q.done:
		return q.stopErr
	case <-ctx.Done():
		if first {
			q.abandon()
		}
		return context.Cause(ctx)
	}
}

func (q *Queue[T]) run() {
	defer q.abandon()
	timer := time.NewTimer(q.cfg.Delay)
	defer timer.Stop()
	for {
		select {
		case <-q.stop:
			q.finish()
			return
		case req := <-q.flush:
			req.result <- q.drain(req.ctx)
		case <-timer.C:
			q.exportQueued(1)
		case <-q.wake:
			q.exportQueued(q.cfg.BatchSize)
		}
		q.sayOverflow()
		timer.Reset(q.cfg.Delay)
	}
}

// exportQueued exports what is queued now, as long as a batch has at least
// atLeast items. A failed batch is gone: whoever made Export has counted it.
func (q *Queue[T]) exportQueued(atLeast int) {
	for left := q.Counts().Queued; left >= atLeast; {
		select {
		case <-q.stop:
			return
		default:
		}
		items := q.take(left)
		left -= len(items)
		_ = q.export(q.base, items)
	}
}

// drain exports what is queued now and stops at the first failure.
func (q *Queue[T]) drain(ctx context.Context) error {
	for left := q.Counts().Queued; left > 0; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		items := q.take(left)
		left -= len(items)
		if err := q.export(ctx, items); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue[T]) finish() {
	err := q.drain(q.stopCtx)
	q.mu.Lock()
	q.late += uint64(q.n)
	q.n = 0
	q.ring = nil
	q.mu.Unlock()
	q.stopErr = err
	close(q.done)
}

var errTimeout = errors.New("export timed out")

// export bounds one export by the timeout, by ctx, and by the end of shutdown.
func (q *Queue[T]) export(ctx context.Context, items []T) error {
	ctx, cancel := context.WithTimeoutCause(ctx, q.cfg.Timeout, errTimeout)
	defer cancel()
	defer context.AfterFunc(q.base, cancel)()
	err := q.cfg.Export(ctx, items)
	clear(items)
	return err
}

// take moves up to limit items, at most one batch, into the worker's slice.
func (q *Queue[T]) take(limit int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.scratch[:min(limit, q.n, len(q.scratch))]
	var zero T
	for i := range items {
		items[i], q.ring[q.head] = q.ring[q.head], zero
		q.head = (q.head + 1) % len(q.ring)
	}
	q.n -= len(items)
	return items
}

// sayOverflow reports a change between keeping up and overflowing.
func (q *Queue[T]) sayOverflow() {
	lost := q.Counts().Full
	if overflowing := lost > q.said; overflowing != q.overflowing {
		q.overflowing = overflowing
		if q.cfg.OnOverflow != nil {
			q.cfg.OnOverflow(overflowing, lost)
		}
	}
	q.said = lost
}
