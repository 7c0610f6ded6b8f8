// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"log/slog"
)

// WorkOption configures [Go], [NewGroup], [Detach] and [Detached]. It is also a
// [PoolOption] and an [OpenOption].
type WorkOption interface {
	PoolOption
	OpenOption
	applyWork(*work)
}

type loggerOption struct{ logger *slog.Logger }

func (o loggerOption) applyWork(w *work)       { w.logger = o.logger }
func (o loggerOption) applyPool(p *Pool) error { p.logger = o.logger; return nil }
func (o loggerOption) applyOpen(c *openConfig) { c.logger = o.logger }

// WithLogger sets where panics are logged, and those errors that are returned to
// nobody. The default, and nil, is [slog.Default] at the time.
func WithLogger(l *slog.Logger) WorkOption { return loggerOption{l} }

// Go runs f on a goroutine of its own, for the request in ctx and no longer: f
// gets the request's identity, values, deadline and cancellation, so it is
// canceled when a server's handler has returned. Work that is to go on after the
// reply is for [Detach].
//
// If the request is traced, f runs in a child span of that name. An error is
// recorded there and logged; so is a panic, with its stack, and the process goes
// on. An error that is context.Canceled, of a context that was canceled, is no
// failure: it is logged at debug level. What cannot be recovered in Go, such as
// concurrent map writes, still ends the process.
//
// The name is one of few: it is a span name and a metric label ([Goroutines]).
// Go returns at once and may be called from any goroutine. Outside of a request
// there is no span, and all else is the same.
func Go(ctx context.Context, name string, f func(context.Context) error, opts ...WorkOption) {
	w := newWork(ctx, name, opts)
	w.start()
	go func() { _ = w.run(f) }() // logged, there is nobody to return it to
}
