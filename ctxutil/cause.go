// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"errors"
)

// Causes say who ended a request. They are given to context.WithCancelCause and
// its kin, and found again by [EndedBy] or errors.Is(context.Cause(ctx), …).
// Each matches the standard error a context ended that way reports, so code that
// asks errors.Is(err, context.Canceled) or context.DeadlineExceeded is not
// surprised when a library (net/http does) returns the cause in its place.
var (
	// ErrCallerCanceled says that the caller gave up. It matches context.Canceled.
	ErrCallerCanceled error = &cause{text: "ctxutil: canceled by the caller", std: context.Canceled}
	// ErrCallerDeadline says that the time the caller allowed is over. It matches
	// context.DeadlineExceeded.
	ErrCallerDeadline error = &cause{text: "ctxutil: caller's deadline exceeded", std: context.DeadlineExceeded}
	// ErrTimeout says that a limit of our own is over, a server's or a client's.
	// It matches context.DeadlineExceeded.
	ErrTimeout error = &cause{text: "ctxutil: own timeout exceeded", std: context.DeadlineExceeded}
	// ErrShutdown says that this process is going away. It matches context.Canceled.
	ErrShutdown error = &cause{text: "ctxutil: shutting down", std: context.Canceled}
	// ErrHedgeLost says that another attempt of the same call answered first. It
	// matches context.Canceled.
	ErrHedgeLost error = &cause{text: "ctxutil: another attempt answered first", std: context.Canceled}
)

// cause is the type of the sentinels: compared by identity, and by errors.Is to
// the standard error as well.
type cause struct {
	text string
	std  error
}

func (c *cause) Error() string { return c.text }

func (c *cause) Is(target error) bool { return target == c.std }

// Timeout makes the deadline causes timeouts for url.Error and others who ask, as
// context.DeadlineExceeded is one.
func (c *cause) Timeout() bool { return errors.Is(c.std, context.DeadlineExceeded) }

// End says who ended a request. The zero value is [EndNone].
type End uint8

const (
	// EndNone is a request that has not ended.
	EndNone End = iota
	// EndCallerCanceled is a request its caller gave up, or whose connection broke.
	EndCallerCanceled
	// EndCallerDeadline is a request that ran past its caller's deadline.
	EndCallerDeadline
	// EndTimeout is a request that ran past a limit of our own.
	EndTimeout
	// EndShutdown is a request ended by the shutdown of this process.
	EndShutdown
	// EndHedgeLost is an attempt no longer needed.
	EndHedgeLost
)

// String returns a name fit for a log value or a metric label, such as
// "caller_deadline"; "none" for the zero value.
func (e End) String() string {
	switch e {
	case EndCallerCanceled:
		return "caller_canceled"
	case EndCallerDeadline:
		return "caller_deadline"
	case EndTimeout:
		return "timeout"
	case EndShutdown:
		return "shutdown"
	case EndHedgeLost:
		return "hedge_lost"
	default:
		return "none"
	}
}

// EndedBy says who ended ctx: by its cause if that is one of this package's, or
// wraps one, and otherwise by ctx.Err(). An end nobody explained is the caller's,
// because those of ours carry a cause. It is [EndNone] while ctx is alive.
func EndedBy(ctx context.Context) End {
	err := ctx.Err()
	if err == nil {
		return EndNone
	}
	by := context.Cause(ctx)
	switch {
	case errors.Is(by, ErrCallerCanceled):
		return EndCallerCanceled
	case errors.Is(by, ErrCallerDeadline):
		return EndCallerDeadline
	case errors.Is(by, ErrTimeout):
		return EndTimeout
	case errors.Is(by, ErrShutdown):
		return EndShutdown
	case errors.Is(by, ErrHedgeLost):
		return EndHedgeLost
	case errors.Is(err, context.DeadlineExceeded):
		return EndCallerDeadline
	default:
		return EndCallerCanceled
	}
}
