// SPDX-License-Identifier: Apache-2.0

package drain

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Drainer counts the requests that a server has in flight, and ends them. Use
// [New]. It is safe for concurrent use; counting a request costs two atomic
// additions and allocates nothing.
type Drainer struct {
	active   atomic.Int64
	finished atomic.Int64 // while draining
	leaving  atomic.Bool
	draining atomic.Bool

	notice chan struct{} // closed when draining begins
	idle   chan struct{} // told when active falls to 0 while draining
	base   context.Context
	cut    context.CancelCauseFunc
}

// Result says how draining went.
type Result struct {
	// Drained is how many requests came to their own end while the server drained.
	Drained int64
	// Killed is how many had their context canceled, and were given up on.
	Killed int64
	// Stuck is how many of those took no notice of it until the grace was over.
	Stuck int64
}

type key struct{}

// New returns a drainer for one server.
func New() *Drainer {
	d := &Drainer{notice: make(chan struct{}), idle: make(chan struct{}, 1)}
	ctx, cut := context.WithCancelCause(context.WithValue(context.Background(), key{}, d))
	d.base, d.cut = ctx, cut
	return d
}

// Begin counts a request in. Every Begin has its [Drainer.End].
func (d *Drainer) Begin() { d.active.Add(1) }

// End counts a request out.
func (d *Drainer) End() {
	left := d.active.Add(-1)
	if !d.draining.Load() {
		return
	}
	d.finished.Add(1)
	if left == 0 {
		select {
		case d.idle <- struct{}{}:
		default:
		}
	}
}

// Active returns how many requests are in flight.
func (d *Drainer) Active() int64 { return d.active.Load() }

// Leave says that the server is about to go away: adapters ask callers, as far
// as their protocol has words for it, not to send more.
func (d *Drainer) Leave() { d.leaving.Store(true) }

// Leaving reports whether [Drainer.Leave] or [Drainer.Drain] was called.
func (d *Drainer) Leaving() bool { return d.leaving.Load() }

// Context returns the context that requests derive from: [Notice] finds the
// drainer in it, and it ends, with the cause [ctxutil.ErrShutdown], when time
// is over. It is what an HTTP server takes as its base context.
func (d *Drainer) Context() context.Context { return d.base }

// Attach is [Drainer.Context] for a request that has a context already: the one
// it returns ends with either. The function releases it, and is to be called.
func (d *Drainer) Attach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithValue(ctx, key{}, d))
	stop := context.AfterFunc(d.base, func() { cancel(ctxutil.ErrShutdown) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// Notice returns a channel that is closed when the server that handles the
// request drains: a handler that may go on for long should come to its end. It
// is nil, which is never ready, if nobody drains the server, and for unary gRPC
// calls, which have a deadline.
func Notice(ctx context.Context) <-chan struct{} {
	if d, ok := ctx.Value(key{}).(*Drainer); ok {
		return d.notice
	}
	return nil
}

// Drain gives requests their [Notice] and waits until the server has stopped, which
// whoever stops it says by closing stopped, and none is in flight: until then more may
// come. nil means that it takes none any more. When ctx ends it cancels the contexts of
// those that are left, and gives their handlers grace to return. A second call waits
// again and kills nothing anew.
func (d *Drainer) Drain(ctx context.Context, stopped <-chan struct{}, grace time.Duration) Result {
	d.leaving.Store(true)
	if !d.draining.Swap(true) {
		close(d.notice)
	}
	if wait(d, stopped, ctx.Done()) {
		return Result{Drained: d.finished.Load()}
	}
	r := Result{Drained: d.finished.Load(), Killed: d.active.Load()}
	d.cut(ctxutil.ErrShutdown)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if !wait(d, nil, timer.C) {
		r.Stuck = d.active.Load()
	}
	return r
}

// wait waits until the server has stopped and no request is in flight, and reports
// whether none was when that came or the end did.
func wait[T any](d *Drainer, stopped <-chan struct{}, end <-chan T) bool {
	for stopped != nil || d.active.Load() != 0 {
		select {
		case <-stopped:
			stopped = nil
		case <-d.idle:
		case <-end:
			return d.active.Load() == 0
		}
	}
	return true
}
