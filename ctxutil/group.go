// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"sync"
)

// errGroupDone is the cause of a group's context after Wait.
var errGroupDone error = &cause{text: "ctxutil: group is done", std: context.Canceled}

// Group runs parts of one task for one request, each on a goroutine of its own,
// and waits for all of them. The first error cancels the others. Each part runs
// as under [Go], but errors are returned by [Group.Wait] and not logged.
//
// Make one with [NewGroup]; the zero Group is not usable, nor is a Group after
// Wait. Methods are safe for concurrent use, except SetLimit.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	name   string
	opts   []WorkOption
	slots  chan struct{} // nil for no limit
	wg     sync.WaitGroup
	first  sync.Once
	err    error
}

// NewGroup returns a group whose parts all have that name, and the context it
// shares with them. That context is canceled by the first error, which is then
// its cause (context.Cause), or when Wait returns. Wait must be called.
func NewGroup(ctx context.Context, name string, opts ...WorkOption) (*Group, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel, name: name, opts: opts}, ctx
}

// SetLimit bounds how many parts run at a time; [Group.Go] then waits for one to
// end. The default, and n ≤ 0, is no limit. It is called before the first Go.
func (g *Group) SetLimit(n int) {
	g.slots = nil
	if n > 0 {
		g.slots = make(chan struct{}, n)
	}
}

// Go runs f on a goroutine of its own, once the limit allows. f is always run,
// even if an earlier part has failed: its context is canceled then.
func (g *Group) Go(f func(context.Context) error) {
	if g.slots != nil {
		g.slots <- struct{}{}
	}
	w := newWork(g.ctx, g.name, g.opts)
	w.returns = true
	w.start()
	g.wg.Go(func() {
		err := ErrGoexit // unless run returns
		defer func() {
			g.ended(err)
			if g.slots != nil {
				<-g.slots
			}
		}()
		err = w.run(f)
	})
}

// Wait returns when all parts have, with the first error. A part that panicked
// counts as one that failed with a [*PanicError], one that ended its goroutine as
// one that failed with [ErrGoexit].
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(errGroupDone)
	return g.err
}

func (g *Group) ended(err error) {
	if err == nil {
		return
	}
	g.first.Do(func() {
		g.err = err
		g.cancel(err)
	})
}
