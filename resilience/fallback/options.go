// SPDX-License-Identifier: Apache-2.0

package fallback

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/internal/ended"
)

// Option changes a fallback under construction.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

type config struct {
	outcomes []resilience.Outcome
	errors   []error
	classify func(context.Context, error) resilience.Outcome
	observer resilience.Observer
}

func newConfig(opts []Option) (config, error) {
	c := config{
		outcomes: []resilience.Outcome{
			resilience.OutcomeServerFault, resilience.OutcomeTransient, resilience.OutcomeOverload,
			resilience.OutcomeTimeout, resilience.OutcomeRejected,
		},
		classify: ended.Outcome,
	}
	for _, o := range opts {
		o.apply(&c)
	}
	var errs []error
	for _, o := range c.outcomes {
		if o == resilience.OutcomeOK || o == resilience.OutcomeCanceled || o > resilience.OutcomeRejected {
			errs = append(errs, fmt.Errorf("fallback: outcomes %v: must be failures that somebody waits for, not ok or canceled", o))
		}
	}
	for i, err := range c.errors {
		if err == nil {
			errs = append(errs, fmt.Errorf("fallback: errors [%d] nil: must not be nil", i))
		}
	}
	if len(c.outcomes) == 0 && len(c.errors) == 0 {
		errs = append(errs, errors.New("fallback: outcomes []: must have one, or there must be errors to stand in for"))
	}
	if c.classify == nil {
		errs = append(errs, errors.New("fallback: classifier nil: must not be nil"))
	}
	return c, errors.Join(errs...)
}

// Options returns opts as one option: a preset.
func Options(opts ...Option) Option {
	return option(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithOutcomes sets which outcomes the fallback stands in for, all but ok and
// canceled; none if only the errors of [WithErrors] qualify. The default is
// server_fault, transient, overload, timeout and rejected.
func WithOutcomes(outcomes ...resilience.Outcome) Option {
	return option(func(c *config) { c.outcomes = append([]resilience.Outcome(nil), outcomes...) })
}

// WithErrors adds errors that the fallback stands in for whatever their outcome,
// as errors.Is finds them; but not for one of a call that was canceled.
func WithErrors(targets ...error) Option {
	return option(func(c *config) { c.errors = append(c.errors, targets...) })
}

// WithClassifier sets how [Fallback.Do] tells the outcome of a call by its context
// and error. The default knows the errors of this module and of contexts, and
// takes any other for a transient fault.
func WithClassifier(f func(ctx context.Context, err error) resilience.Outcome) Option {
	return option(func(c *config) { c.classify = f })
}

// WithObserver sets who is told of degraded replies. The default is nobody.
func WithObserver(o resilience.Observer) Option {
	return option(func(c *config) { c.observer = o })
}
