// SPDX-License-Identifier: Apache-2.0

package retry

import "context"

// maxPrevious bounds the number that peers send and hops add to.
const maxPrevious = 1000

// mark is what a context tells of attempts. A context without one belongs to a
// first attempt.
type mark struct {
	number   int // of the attempt at this hop
	previous int // attempts before it, here and further up
}

type markKey struct{}

func markFrom(ctx context.Context) mark {
	if m, ok := ctx.Value(markKey{}).(*mark); ok {
		return *m
	}
	return mark{number: 1}
}

// AttemptNumber returns which attempt ctx belongs to, 1 for the first and where
// nothing is retried. It counts those of the innermost policy only.
func AttemptNumber(ctx context.Context) int { return markFrom(ctx).number }

// PreviousAttempts returns how many attempts came before the one ctx belongs to,
// here and further up: what an adapter forwards with a call, as gRPC does in
// grpc-previous-rpc-attempts. Unless it is 0, somebody is retrying this request,
// and calls made for it are not retried in turn.
func PreviousAttempts(ctx context.Context) int { return markFrom(ctx).previous }

// WithPreviousAttempts returns ctx for a request that came with that number of
// previous attempts: what an adapter of a server does with the number it received.
// It returns ctx as it is if n is not positive; n is cut to 1000.
func WithPreviousAttempts(ctx context.Context, n int) context.Context {
	if n <= 0 {
		return ctx
	}
	return context.WithValue(ctx, markKey{}, &mark{number: 1, previous: min(n, maxPrevious)})
}

// WithAttempt returns the context for an attempt of that number, counted from 1,
// of a call made with ctx. Policies of this package do it themselves.
func WithAttempt(ctx context.Context, number int) context.Context {
	m := markFrom(ctx)
	if number <= 1 && m.number == 1 {
		return ctx
	}
	return context.WithValue(ctx, markKey{}, &mark{number: max(number, 1), previous: min(m.previous+max(number, 1)-1, maxPrevious)})
}
