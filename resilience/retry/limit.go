// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Limit is the time limit of one attempt. Its context ends when the limit passes,
// with the cause [ctxutil.ErrTimeout].
//
// A nil Limit never passes. It is safe for concurrent use. Who got it from
// [Run.Begin] must call End.
type Limit struct {
	ctx    context.Context //nolint:containedctx // to see afterwards why it ended
	cancel context.CancelFunc
	timer  *time.Timer // nil if the limit is a deadline, which cannot be lifted
	lifted atomic.Bool
}

// deadlineLimit limits ctx by a deadline, which the server is told of.
func deadlineLimit(ctx context.Context, b ctxutil.Budget) *Limit {
	// The caller's deadline is further away, so b cannot be exhausted.
	ctx, cancel, _ := ctxutil.WithBudget(ctx, b)
	return &Limit{ctx: ctx, cancel: cancel}
}

// timerLimit limits ctx by a timer. It sets no deadline, because a server that is
// told of one breaks off its answer when it passes, lifted here or not.
func timerLimit(ctx context.Context, d time.Duration) *Limit {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Limit{
		ctx:    ctx,
		cancel: func() { cancel(nil) },
		timer:  time.AfterFunc(d, func() { cancel(ctxutil.ErrTimeout) }),
	}
}

// Lift ends the limit but not the context, and returns true. It returns false if
// the limit has passed.
func (l *Limit) Lift() bool {
	switch {
	case l == nil:
		return true
	case l.timer == nil:
		return !l.passed()
	case l.timer.Stop():
		l.lifted.Store(true)
	}
	return l.lifted.Load()
}

// End ends the context. Only the first call counts.
func (l *Limit) End() {
	if l == nil {
		return
	}
	l.Lift()
	l.cancel()
}

// passed reports whether the limit ended the context, before or after End.
func (l *Limit) passed() bool {
	return l != nil && l.ctx.Err() != nil && errors.Is(context.Cause(l.ctx), ctxutil.ErrTimeout)
}
