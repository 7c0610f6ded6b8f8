// SPDX-License-Identifier: Apache-2.0

package timeout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// Timeout is a time limit for calls to one downstream service. Use [New]; the zero
// Timeout is invalid. It is safe for concurrent use and needs no closing.
type Timeout struct {
	name   string
	after  time.Duration
	budget ctxutil.Budget
}

// New returns a time limit for calls to the downstream service name. d must be
// positive.
func New(name string, d time.Duration) (*Timeout, error) {
	var errs []error
	if name == "" {
		errs = append(errs, errors.New(`timeout: name "": must not be empty`))
	}
	if d <= 0 {
		errs = append(errs, fmt.Errorf("timeout: duration %v: must be positive", d))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	budget, err := ctxutil.NewBudget(ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(d))
	if err != nil {
		return nil, err
	}
	return &Timeout{name: name, after: d, budget: budget}, nil
}

// Name returns the name of the downstream service.
func (t *Timeout) Name() string { return t.name }

// Duration returns the time limit.
func (t *Timeout) Duration() time.Duration { return t.after }

// Context returns ctx with the time limit, whose cause is [ctxutil.ErrTimeout] when
// it passes; or ctx itself if its own deadline is not later. The CancelFunc is
// never nil and is to be called when the call has ended.
func (t *Timeout) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	// The error says that the caller's deadline has passed. So does ctx.
	ctx, cancel, _ := ctxutil.WithBudget(ctx, t.budget)
	return ctx, cancel
}

// Do calls f with the time limit and waits until it returns. If f fails after the
// limit has passed, and neither the caller nor its deadline had ended the call, the
// error is an [*ExceededError]; otherwise it is that of f.
func (t *Timeout) Do(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := t.Context(ctx)
	defer cancel()
	err := f(limited)
	if err == nil || ctx.Err() != nil || ctxutil.EndedBy(limited) != ctxutil.EndTimeout {
		return err
	}
	return &ExceededError{Name: t.name, Timeout: t.after, Err: err}
}

// Outcome returns how a call ended that was made with ctx and returned err, as far
// as that can be told without knowing its protocol: it tells success, the
// refusals of this module's policies, a time limit of ours, the caller's deadline
// and the caller's giving up from each other, and takes anything else for a
// transient fault. A deadline that passed while ctx is alive is one of ours.
func Outcome(ctx context.Context, err error) resilience.Outcome { return ended.Outcome(ctx, err) }

// ExceededError is a call that ran into a time limit of ours. It matches
// [ctxutil.ErrTimeout] and context.DeadlineExceeded, and the error that the call
// itself returned.
type ExceededError struct {
	// Name is the downstream service.
	Name string
	// Timeout is the limit.
	Timeout time.Duration
	// Err is what the call returned when it was stopped.
	Err error
}

// Error implements error: `timeout "payment": exceeded 2s`.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("timeout %q: exceeded %v", e.Name, e.Timeout)
}

// Unwrap returns [ctxutil.ErrTimeout] and the call's own error.
func (e *ExceededError) Unwrap() []error { return []error{ctxutil.ErrTimeout, e.Err} }
