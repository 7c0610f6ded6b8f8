// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// The default reserve of a [Budget] is the smaller of these.
const (
	// DefaultReserve is the most a budget holds back by default.
	DefaultReserve = 10 * time.Millisecond
	// DefaultReserveFraction is the fraction of what is left that a budget holds
	// back by default.
	DefaultReserveFraction = 0.1
)

// ErrBudgetExhausted is matched by the [*BudgetError] of a call refused because
// its deadline leaves it no time.
var ErrBudgetExhausted = errors.New("ctxutil: deadline budget exhausted")

// BudgetError says that a call was refused before it was sent: what is left of
// its deadline is not more than the reserve. It matches [ErrBudgetExhausted] and
// context.DeadlineExceeded.
type BudgetError struct {
	Left    time.Duration // until the deadline; 0 if that has passed
	Reserve time.Duration // held back for the caller's own reply
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("ctxutil: deadline budget exhausted: %v left, %v reserved", e.Left, e.Reserve)
}

// Is reports whether target is [ErrBudgetExhausted] or context.DeadlineExceeded.
func (e *BudgetError) Is(target error) bool {
	return target == ErrBudgetExhausted || target == context.DeadlineExceeded
}

// Timeout is true: url.Error and others ask for a timeout by this method.
func (e *BudgetError) Timeout() bool { return true }

// Remaining returns how long ctx has until its deadline, 0 if that has passed,
// and false if ctx has no deadline.
func Remaining(ctx context.Context) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, false
	}
	return max(time.Until(deadline), 0), true
}

// Budget says how much of a deadline a call may use. A deadline is a budget that
// shrinks hop by hop: each hop holds back a reserve, so that it can still answer
// when the call below it runs out of time.
//
// The zero Budget holds back the default reserve and adds no limit of its own.
// A Budget is a plain value, safe for concurrent use.
type Budget struct {
	reserve        time.Duration
	fixedReserve   bool
	maxTimeout     time.Duration // 0: no cap
	defaultTimeout time.Duration // 0: none
}

// BudgetOption changes a [Budget] under construction.
type BudgetOption interface{ applyBudget(*Budget) error }

type budgetOption func(*Budget) error

func (o budgetOption) applyBudget(b *Budget) error { return o(b) }

// NewBudget returns the budget that the options describe. Without options it is
// the zero Budget. It fails on a negative duration, and on a default timeout
// longer than the cap.
func NewBudget(opts ...BudgetOption) (Budget, error) {
	var b Budget
	var errs []error
	for _, o := range opts {
		errs = append(errs, o.applyBudget(&b))
	}
	if b.maxTimeout > 0 && b.defaultTimeout > b.maxTimeout {
		errs = append(errs, fmt.Errorf("ctxutil: NewBudget: default timeout %v exceeds max timeout %v", b.defaultTimeout, b.maxTimeout))
	}
	if err := errors.Join(errs...); err != nil {
		return Budget{}, err
	}
	return b, nil
}

// WithReserve sets what is held back of the caller's deadline; 0 holds back
// nothing, as a server does that only enforces its own limit. The default is the
// smaller of [DefaultReserve] and [DefaultReserveFraction] of what is left.
func WithReserve(d time.Duration) BudgetOption {
	return budgetOption(func(b *Budget) error {
		b.reserve, b.fixedReserve = d, true
		return notNegative("WithReserve", d)
	})
}

// WithMaxTimeout caps what a call may use, whatever its caller allows, or if the
// caller sets no deadline at all. The default, and 0, is no cap.
func WithMaxTimeout(d time.Duration) BudgetOption {
	return budgetOption(func(b *Budget) error {
		b.maxTimeout = d
		return notNegative("WithMaxTimeout", d)
	})
}

// WithDefaultTimeout sets what a call may use whose caller sets no deadline. The
// default, and 0, is the cap of [WithMaxTimeout].
func WithDefaultTimeout(d time.Duration) BudgetOption {
	return budgetOption(func(b *Budget) error {
		b.defaultTimeout = d
		return notNegative("WithDefaultTimeout", d)
	})
}

func notNegative(option string, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("ctxutil: NewBudget: %s: %v is negative", option, d)
	}
	return nil
}

// Reserve returns what the budget holds back when left remains.
func (b Budget) Reserve(left time.Duration) time.Duration {
	if b.fixedReserve {
		return b.reserve
	}
	return min(DefaultReserve, time.Duration(float64(max(left, 0))*DefaultReserveFraction))
}

// WithBudget returns ctx with the deadline that b allows. Its cause tells whose
// deadline it is when it passes: [ErrTimeout] if b's cap or default set it,
// [ErrCallerDeadline] if it is what the caller's deadline leaves, and what it was
// before if that deadline came from another budget.
//
// If nothing is left it returns a [*BudgetError], ctx as it is and a CancelFunc
// that does nothing: the call is not to be sent. If b changes nothing, it returns
// ctx as it is, and costs no allocation and no timer. The CancelFunc is never nil
// and is to be called when the call has ended.
func WithBudget(ctx context.Context, b Budget) (context.Context, context.CancelFunc, error) {
	callers, bounded := ctx.Deadline()
	now := time.Now()
	if !bounded {
		own := b.defaultTimeout
		if own == 0 {
			own = b.maxTimeout
		}
		if own == 0 {
			return ctx, doNothing, nil
		}
		ctx, cancel := withOwnDeadline(ctx, now.Add(own))
		return ctx, cancel, nil
	}

	left := max(callers.Sub(now), 0)
	reserve := b.Reserve(left)
	usable := left - reserve
	if usable <= 0 {
		return ctx, doNothing, &BudgetError{Left: left, Reserve: reserve}
	}
	if b.maxTimeout > 0 && b.maxTimeout < usable {
		ctx, cancel := withOwnDeadline(ctx, now.Add(b.maxTimeout))
		return ctx, cancel, nil
	}
	if reserve == 0 {
		return ctx, doNothing, nil
	}
	if own, ok := ctx.Value(ownDeadlineKey{}).(*ownDeadline); ok && own.at.Equal(callers) {
		ctx, cancel := withOwnDeadline(ctx, callers.Add(-reserve))
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithDeadlineCause(ctx, callers.Add(-reserve), ErrCallerDeadline)
	return ctx, cancel, nil
}

// ownDeadline is a context that remembers that its deadline is one of ours, so
// that a hop further down, which takes its reserve from it, does not blame the
// caller. A deadline that somebody shortens since then no longer matches at.
type ownDeadline struct {
	context.Context
	at time.Time
}

// DeadlineIsOwn reports whether the deadline of ctx is a limit of this process,
// set by a budget's cap or default, and not what a caller allowed. Unlike
// [EndedBy] it can be asked before the deadline passes: the far side, which was
// told it, may be the first to notice.
func DeadlineIsOwn(ctx context.Context) bool {
	at, ok := ctx.Deadline()
	own, is := ctx.Value(ownDeadlineKey{}).(*ownDeadline)
	return ok && is && own.at.Equal(at)
}

type ownDeadlineKey struct{}

func (o *ownDeadline) Value(key any) any {
	if _, ok := key.(ownDeadlineKey); ok {
		return o
	}
	return o.Context.Value(key)
}

func withOwnDeadline(ctx context.Context, at time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(&ownDeadline{Context: ctx, at: at}, at, ErrTimeout)
}

func doNothing() {}

// maxTimeoutDigits bounds both wire forms of a timeout, as gRPC does.
const maxTimeoutDigits = 8

// FormatTimeoutMillis writes a duration for the X-Request-Timeout-Ms header:
// whole milliseconds, rounded down, but never 0 while something is left. What
// does not fit into 8 digits (27 hours) is cut to that.
func FormatTimeoutMillis(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(min(max(d.Milliseconds(), 1), 99_999_999), 10)
}

// ParseTimeoutMillis reads an X-Request-Timeout-Ms header: 1 to 8 decimal digits
// and nothing else. 0 says that the caller's time is over. It costs no allocation.
func ParseTimeoutMillis(s string) (time.Duration, bool) {
	n, ok := parseDigits(s)
	return time.Duration(n) * time.Millisecond, ok
}

// ParseGRPCTimeout reads a grpc-timeout header, for requests that bring one over
// plain HTTP: 1 to 8 decimal digits and a unit, one of H M S m u n. A value past
// the range of time.Duration is cut to that. It costs no allocation.
//
// See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
func ParseGRPCTimeout(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	var unit time.Duration
	switch s[len(s)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n, ok := parseDigits(s[:len(s)-1])
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64, ok
	}
	return time.Duration(n) * unit, ok
}

// TimeoutFrom returns how much time the caller of an HTTP request allows, by
// X-Request-Timeout-Ms or grpc-timeout, the shorter if it sent both. A header
// that is not valid counts as not sent.
func TimeoutFrom(c Carrier) (time.Duration, bool) {
	timeout, ok := ParseTimeoutMillis(c.Get(HeaderRequestTimeout))
	if t, isGRPC := ParseGRPCTimeout(c.Get("Grpc-Timeout")); isGRPC && (!ok || t < timeout) {
		return t, true
	}
	return timeout, ok
}

// parseDigits reads 1 to 8 decimal digits; of anything else it returns 0, false.
func parseDigits(s string) (int64, bool) {
	if len(s) == 0 || len(s) > maxTimeoutDigits {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
