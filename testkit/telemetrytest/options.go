// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Numbers that hold unless an option says otherwise.
const (
	// DefaultTolerance is how far two accounts of one duration may be apart.
	DefaultTolerance = time.Microsecond
	// DefaultMaxSeries is how many series one metric of one registry may have.
	// A histogram counts once for each combination of its labels.
	DefaultMaxSeries = 1000
)

type config struct {
	off           map[Rule]bool
	external      map[string]bool
	externalFuncs []func(trace.SpanContext) bool
	unsampled     map[string]bool
	uncorrelated  map[string]bool
	outside       bool
	calls         []CallKind
	notCalls      []func(*Span) bool
	unlogged      []func(*Span) bool
	tolerance     time.Duration
	maxSeries     int
	idLabels      map[string]bool
}

// Option changes what is checked.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

func newConfig(opts []Option) *config {
	c := &config{
		off: map[Rule]bool{}, external: map[string]bool{}, unsampled: map[string]bool{},
		uncorrelated: map[string]bool{}, idLabels: map[string]bool{},
		calls: DefaultCalls(), tolerance: DefaultTolerance, maxSeries: DefaultMaxSeries,
	}
	for _, o := range opts {
		o.apply(c)
	}
	return c
}

// Options makes one option of several, to be shared by tests.
func Options(opts ...Option) Option {
	return optionFunc(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// Without switches rules off. An unknown rule panics: the check would pass, and
// not mean what it says.
func Without(rules ...Rule) Option {
	for _, r := range rules {
		if !slices.ContainsFunc(ruleTable, func(row ruleRow) bool { return row.Rule == r }) {
			panic(fmt.Sprintf("telemetrytest: Without: there is no rule %q", r))
		}
	}
	return optionFunc(func(c *config) { add(c.off, rules) })
}

// Only switches every rule off that is not named.
func Only(rules ...Rule) Option {
	var others []Rule
	for _, row := range ruleTable {
		if !slices.Contains(rules, row.Rule) {
			others = append(others, row.Rule)
		}
	}
	return Options(Without(rules...), optionFunc(func(c *config) {
		clear(c.off)
		add(c.off, others)
	}))
}

// External declares ids that come from outside of the run: of traces (32 hex
// digits) that began there, or of single spans (16 hex digits). Spans may have
// parents, and log lines ids, from there.
func External(ids ...string) Option {
	return optionFunc(func(c *config) { add(c.external, ids) })
}

// ExternalFunc is [External] for ids that are not known beforehand. It is asked
// about the parent of each span that is not in the run.
func ExternalFunc(is func(parent trace.SpanContext) bool) Option {
	return optionFunc(func(c *config) { c.externalFuncs = append(c.externalFuncs, is) })
}

// Unsampled declares traces (32 hex digits) that were not recorded, so that log
// lines may name them. Those that [Recorder.Sampler] saw dropped are known.
func Unsampled(traceIDs ...string) Option {
	return optionFunc(func(c *config) { add(c.unsampled, traceIDs) })
}

// Uncorrelated declares the messages of log lines that belong to no request,
// such as those of a start-up, and so need no ids.
func Uncorrelated(messages ...string) Option {
	return optionFunc(func(c *config) { add(c.uncorrelated, messages) })
}

// UncorrelatedOutsideRequests lets log lines go without ids if the context they
// were logged with had no span, as [Recorder.LogHandler] saw it. It misses
// lines of a request that were logged without the request's context.
func UncorrelatedOutsideRequests() Option {
	return optionFunc(func(c *config) { c.outside = true })
}

// WithCalls sets what the three signals say of a call. The default is
// [DefaultCalls]; none switches the comparison off.
func WithCalls(kinds ...CallKind) Option {
	for _, k := range kinds {
		if err := k.validate(); err != nil {
			panic("telemetrytest: WithCalls: " + err.Error())
		}
	}
	return optionFunc(func(c *config) { c.calls = kinds })
}

// NotACall declares spans that look like a call but are none of their own, such
// as attempts, or calls that another instrumentation made the span of: they
// have no request log line and are in no histogram of calls.
func NotACall(is func(*Span) bool) Option {
	return optionFunc(func(c *config) { c.notCalls = append(c.notCalls, is) })
}

// Unlogged declares calls that need no request log line: successful ones of a
// quiet method, or of clients that log at debug level only.
func Unlogged(is func(*Span) bool) Option {
	return optionFunc(func(c *config) { c.unlogged = append(c.unlogged, is) })
}

// WithTolerance sets how far two accounts of one duration may be apart. The
// default is [DefaultTolerance], which is for rounding: the clock readings are
// the same ones.
func WithTolerance(d time.Duration) Option {
	return optionFunc(func(c *config) { c.tolerance = d })
}

// WithMaxSeries sets how many series one metric of one registry may have. The
// default is [DefaultMaxSeries].
func WithMaxSeries(n int) Option {
	return optionFunc(func(c *config) { c.maxSeries = n })
}

// IDLabels declares labels whose values may look like ids because there is one
// a process, such as service_instance_id.
func IDLabels(names ...string) Option {
	return optionFunc(func(c *config) { add(c.idLabels, names) })
}

func add[K comparable](set map[K]bool, keys []K) {
	for _, k := range keys {
		set[k] = true
	}
}
