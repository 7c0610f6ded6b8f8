// SPDX-License-Identifier: Apache-2.0

package fallback

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// Fallback makes degraded replies of type T. Use [New]; the zero Fallback is
// invalid. It has no state and is safe for concurrent use if its function is.
type Fallback[T any] struct {
	name string
	make func(context.Context, error) (T, error)
	cfg  config
}

// New returns a fallback that makes its replies with f, which is given the error
// of the call. name appears in labels, events and errors.
func New[T any](name string, f func(ctx context.Context, err error) (T, error), opts ...Option) (*Fallback[T], error) {
	cfg, err := newConfig(opts)
	errs := []error{err}
	if name == "" {
		errs = append(errs, errors.New(`fallback: name "": must not be empty`))
	}
	if f == nil {
		errs = append(errs, errors.New("fallback: function nil: must not be nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Fallback[T]{name: name, make: f, cfg: cfg}, nil
}

// Value returns a function for [New] that always replies v, the same to all: if v
// is or holds a pointer, a map or a slice, nobody may change what it refers to.
func Value[T any](v T) func(context.Context, error) (T, error) {
	return func(context.Context, error) (T, error) { return v, nil }
}

// Name returns the fallback's name.
func (f *Fallback[T]) Name() string { return f.name }

// Do calls call and, if that fails in a way that the fallback stands in for,
// returns a degraded reply in place of the error, and true. Otherwise it returns
// what call returned or, if the fallback failed as well, an error that matches both
// of theirs.
func (f *Fallback[T]) Do(ctx context.Context, call func(context.Context) (T, error)) (reply T, degraded bool, err error) {
	reply, err = call(ctx)
	if err == nil || !f.qualifies(ctx, f.cfg.classify(ctx, err), err) {
		return reply, false, err
	}
	return f.standIn(ctx, err)
}

// Apply is Do for a call that has failed with err already, and whose outcome its
// caller knows. The error is err itself if the fallback does not stand in for it.
func (f *Fallback[T]) Apply(ctx context.Context, outcome resilience.Outcome, err error) (reply T, degraded bool, _ error) {
	if !f.qualifies(ctx, outcome, err) {
		return reply, false, err
	}
	return f.standIn(ctx, err)
}

func (f *Fallback[T]) standIn(ctx context.Context, err error) (reply T, degraded bool, _ error) {
	stand, failed := f.make(ctx, err)
	if failed != nil {
		// The error of the call comes first: a status is looked for in this order.
		return reply, false, fmt.Errorf("%w; fallback %q: %w", err, f.name, failed)
	}
	if f.cfg.observer.FellBack != nil {
		f.cfg.observer.FellBack(ctx, resilience.Fallback{Name: f.name, Err: err})
	}
	return stand, true, nil
}

func (f *Fallback[T]) qualifies(ctx context.Context, outcome resilience.Outcome, err error) bool {
	if outcome == resilience.OutcomeCanceled || ended.By(ctx) == resilience.OutcomeCanceled {
		return false
	}
	return slices.Contains(f.cfg.outcomes, outcome) ||
		slices.ContainsFunc(f.cfg.errors, func(target error) bool { return errors.Is(err, target) })
}
