// SPDX-License-Identifier: Apache-2.0

package tail

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Defaults of the options.
const (
	DefaultSlow             = time.Second
	DefaultMaxTraces        = 10_000
	DefaultMaxSpans         = 50_000
	DefaultMaxSpansPerTrace = 1_000
	DefaultMaxAge           = time.Minute
	DefaultMaxDecisions     = 10_000
	// DefaultForce is the attribute by which OpenTracing asked for a trace to be kept.
	DefaultForce = attribute.Key("sampling.priority")
)

type config struct {
	slow             time.Duration
	ratio            float64
	force            attribute.Key
	rules            []Rule
	maxTraces        int
	maxSpans         int
	maxSpansPerTrace int
	maxAge           time.Duration
	maxDecisions     int
}

func defaultConfig() config {
	return config{
		slow:             DefaultSlow,
		force:            DefaultForce,
		maxTraces:        DefaultMaxTraces,
		maxSpans:         DefaultMaxSpans,
		maxSpansPerTrace: DefaultMaxSpansPerTrace,
		maxAge:           DefaultMaxAge,
		maxDecisions:     DefaultMaxDecisions,
	}
}

// Option configures a [Processor].
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// Options makes one option of several; the later ones win.
func Options(opts ...Option) Option {
	return optionFunc(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithSlow keeps traces with a span of at least d. The default is
// [DefaultSlow]; 0 keeps nothing for being slow.
func WithSlow(d time.Duration) Option { return optionFunc(func(c *config) { c.slow = d }) }

// WithRatio keeps this fraction, 0 to 1, of the traces for which nothing else
// speaks. It is decided by the trace id, alike in every process. The default is 0:
// of the ordinary traces only those that the head sampled.
func WithRatio(fraction float64) Option { return optionFunc(func(c *config) { c.ratio = fraction }) }

// WithForce names the span attribute that keeps a trace: a bool that is true, or
// an int or float above 0. The default is [DefaultForce]; "" forces nothing.
func WithForce(key attribute.Key) Option { return optionFunc(func(c *config) { c.force = key }) }

// WithRule adds a rule, asked in the order of the options before the built-in
// reasons other than force. A rule can keep a span's trace, or excuse a span: a
// long poll from being slow, an expected error from being kept.
func WithRule(r Rule) Option { return optionFunc(func(c *config) { c.rules = append(c.rules, r) }) }

// WithMaxTraces bounds the traces undecided at any time. The default is [DefaultMaxTraces].
func WithMaxTraces(n int) Option { return optionFunc(func(c *config) { c.maxTraces = n }) }

// WithMaxSpans bounds the spans held, all traces together. The default is [DefaultMaxSpans].
func WithMaxSpans(n int) Option { return optionFunc(func(c *config) { c.maxSpans = n }) }

// WithMaxSpansPerTrace bounds the spans held of one trace. The default is [DefaultMaxSpansPerTrace].
func WithMaxSpansPerTrace(n int) Option {
	return optionFunc(func(c *config) { c.maxSpansPerTrace = n })
}

// WithMaxAge bounds how long after the start of its first span a trace stays
// undecided. It should exceed the longest ordinary request. The default is [DefaultMaxAge].
func WithMaxAge(d time.Duration) Option { return optionFunc(func(c *config) { c.maxAge = d }) }

// WithMaxDecisions bounds the kept trace ids remembered for late spans. The
// default is [DefaultMaxDecisions].
func WithMaxDecisions(n int) Option { return optionFunc(func(c *config) { c.maxDecisions = n }) }

func newConfig(opts []Option) (config, error) {
	c := defaultConfig()
	Options(opts...).apply(&c)
	var errs []error
	bad := func(field string, value any, rule string) {
		errs = append(errs, fmt.Errorf("tail: %s is %v, must be %s", field, value, rule))
	}
	if c.slow < 0 {
		bad("WithSlow", c.slow, "0 or more")
	}
	if !(c.ratio >= 0 && c.ratio <= 1) { // not NaN either
		bad("WithRatio", c.ratio, "between 0 and 1")
	}
	for i, r := range c.rules {
		if r == nil {
			bad("WithRule", fmt.Sprintf("nil (rule %d)", i), "a function")
		}
	}
	for _, bound := range []struct {
		field string
		value int
	}{
		{"WithMaxTraces", c.maxTraces},
		{"WithMaxSpans", c.maxSpans},
		{"WithMaxSpansPerTrace", c.maxSpansPerTrace},
		{"WithMaxDecisions", c.maxDecisions},
	} {
		if bound.value < 1 {
			bad(bound.field, bound.value, "1 or more")
		}
	}
	if c.maxAge <= 0 {
		bad("WithMaxAge", c.maxAge, "more than 0")
	}
	return c, errors.Join(errs...)
}

// Verdict is what a [Rule] says about a span.
type Verdict int

const (
	// NoOpinion leaves the span to the next rule and the built-in reasons.
	NoOpinion Verdict = iota
	// Keep keeps the trace.
	Keep
	// Excuse says that neither error nor duration of this span is a reason to
	// keep the trace. Other spans may still be.
	Excuse
)

// Rule looks at one span. It is called when the span ends, on the goroutine that
// ended it, outside of locks; and for the first span of a trace decided early,
// which is still open then (its EndTime is zero). It must not block.
type Rule func(sdktrace.ReadOnlySpan) Verdict
