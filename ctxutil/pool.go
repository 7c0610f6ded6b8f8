// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

var (
	// ErrPoolFull is matched by the error of [Pool.Submit] when all workers are
	// busy and the queue is full.
	ErrPoolFull = errors.New("ctxutil: pool is full")
	// ErrPoolClosed is matched by the error of [Pool.Submit] after [Pool.Close],
	// and is that of tasks which Close had no time to run.
	ErrPoolClosed = errors.New("ctxutil: pool is closed")
)

// PoolOption configures a [Pool].
type PoolOption interface{ applyPool(*Pool) error }

type poolOption func(*Pool) error

func (o poolOption) applyPool(p *Pool) error { return o(p) }

// WithDetachedTasks makes the tasks of a pool outlive the requests that submit
// them, each as [Detach] does it. The timeout, which must be positive, counts
// from when a worker takes the task. The default is that a task ends with its
// request.
func WithDetachedTasks(timeout time.Duration) PoolOption {
	return poolOption(func(p *Pool) error {
		p.timeout = timeout
		if timeout <= 0 {
			return fmt.Errorf("WithDetachedTasks: %v is not positive", timeout)
		}
		return nil
	})
}

// Pool runs tasks on a fixed number of goroutines, with a bounded queue before
// them. A task has the identity and the values of the request that submitted it,
// not those of whatever ran before on its goroutine, and runs as under [Go]: in a
// span of the pool's name, with errors and panics logged.
//
// A task also has its request's deadline and cancellation, unless the pool is made
// [WithDetachedTasks]. Without that, a handler must not return before its tasks
// have: they are canceled when it does.
//
// Make a Pool with [NewPool]; the zero Pool is not usable. Its goroutines run
// until [Pool.Close]. Methods are safe for concurrent use.
type Pool struct {
	name    string
	logger  *slog.Logger
	timeout time.Duration // of detached tasks; 0 if they are not

	queue   chan *task
	stopped context.Context // canceled when Close has no more time
	stop    context.CancelCauseFunc
	done    chan struct{} // closed by the last worker
	full    error
	refused error

	mu      sync.Mutex
	closed  bool
	workers int
	pending int // tasks in the queue and on workers
	dropped int // tasks that Close had no time to run
}

// task is what waits in the queue of a pool.
type task struct {
	*work
	f func(context.Context) error
}

// NewPool returns a pool of that name, which is a span name and a metric label,
// and starts its workers. workers is how many tasks run at a time, at least 1,
// queue how many wait beyond that, at least 0.
func NewPool(name string, workers, queue int, opts ...PoolOption) (*Pool, error) {
	p := &Pool{
		name:    name,
		workers: workers,
		done:    make(chan struct{}),
		full:    fmt.Errorf("%w: %q", ErrPoolFull, name),
		refused: fmt.Errorf("%w: %q", ErrPoolClosed, name),
	}
	var errs []error
	if !isGoroutineName(name) {
		errs = append(errs, fmt.Errorf("name %q: must be 1 to %d bytes of text", name, maxGoroutineNameBytes))
	}
	if workers < 1 {
		errs = append(errs, fmt.Errorf("workers %d: must be at least 1", workers))
	}
	if queue < 0 {
		errs = append(errs, fmt.Errorf("queue %d: must not be negative", queue))
	}
	for _, o := range opts {
		errs = append(errs, o.applyPool(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("ctxutil: NewPool: %w", err)
	}
	// Room for the tasks on workers, too: pending bounds both, so that a task is
	// never refused only because an idle worker has not asked for one yet.
	p.queue = make(chan *task, workers+queue)
	p.stopped, p.stop = context.WithCancelCause(context.Background())
	for range workers {
		go p.serve()
	}
	return p, nil
}

// Submit queues f to run for the request in ctx, and returns at once. It fails
// with [ErrPoolFull] or [ErrPoolClosed] and, unless tasks are detached, with the
// cause of ctx if that has ended. Once accepted, f is run, unless Close runs out
// of time first.
func (p *Pool) Submit(ctx context.Context, f func(context.Context) error) error {
	if p.timeout == 0 && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w := newWork(ctx, p.name, nil)
	w.logger = p.logger

	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return p.refused
	case p.pending == cap(p.queue):
		return p.full
	}
	p.pending++
	p.queue <- &task{work: w, f: f} // pending leaves room: it never blocks
	return nil
}

// Queued returns how many tasks wait for a worker.
func (p *Pool) Queued() int { return len(p.queue) }

// Close stops accepting tasks and returns when those accepted before have ended.
// If ctx ends first, the tasks that run are canceled with [ErrShutdown] as the
// cause, those still queued are dropped, each with an error in log and trace, and
// Close returns an error that tells how many these are and why ctx ended, without
// waiting further. It may be called again.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.queue)
	}
	p.mu.Unlock()

	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	p.stop(ErrShutdown)
	for t := range p.queue { // what workers do not come to
		p.execute(t)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending+p.dropped == 0 {
		return nil
	}
	return fmt.Errorf("ctxutil: pool %q: Close: %d tasks canceled, %d dropped: %w", p.name, p.pending, p.dropped, context.Cause(ctx))
}

// serve runs tasks until the queue is closed and empty. A task that ends its
// goroutine takes the worker with it, so another one takes over.
func (p *Pool) serve() {
	idle := false
	defer func() {
		if !idle {
			go p.serve()
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.workers--; p.workers == 0 {
			close(p.done)
		}
	}()
	for t := range p.queue {
		p.execute(t)
	}
	idle = true
}

// execute runs t, or tells that it is too late for that.
func (p *Pool) execute(t *task) {
	late := p.stopped.Err() != nil
	defer p.release(late)
	if late {
		t.f = func(context.Context) error { return p.refused }
	}
	if p.timeout > 0 {
		t.ctx = context.WithoutCancel(t.ctx)
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	forget := context.AfterFunc(p.stopped, func() { cancel(context.Cause(p.stopped)) })
	defer forget()
	t.ctx = ctx
	if p.timeout > 0 {
		t.startDetached(p.timeout)
	} else {
		t.start()
	}
	_ = t.run(t.f) // logged, there is nobody to return it to
}

// release makes room for another task.
func (p *Pool) release(dropped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending--
	if dropped {
		p.dropped++
	}
}
