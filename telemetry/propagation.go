// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const traceContext = "tracecontext"

// checkPropagators accepts what autoprop knows: the names of the specification,
// xray, and those that a program has registered there.
func checkPropagators(value string) string {
	names := propagatorNames(value)
	if slices.Contains(names, exporterNone) && len(names) > 1 {
		return "must not have none beside others"
	}
	if _, err := autoprop.TextMapPropagator(names...); err != nil {
		return "must be a list of tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace, or none: " + err.Error()
	}
	return ""
}

// propagatorNames splits the list and puts tracecontext first.
func propagatorNames(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if i := slices.Index(names, traceContext); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, traceContext)
	}
	return names
}

// newPropagator builds the propagator from a list that has been checked.
func newPropagator(value string) (propagation.TextMapPropagator, error) {
	var all firstWins
	for _, name := range propagatorNames(value) {
		if name == exporterNone {
			break
		}
		p, err := autoprop.TextMapPropagator(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// firstWins injects with every propagator and takes the span context from the
// first that finds one. The SDK's composite takes the last, so that a b3 header
// beside a traceparent would decide which trace a request belongs to.
type firstWins []propagation.TextMapPropagator

func (ps firstWins) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	for _, p := range ps {
		p.Inject(ctx, carrier)
	}
}

func (ps firstWins) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	before := trace.SpanContextFromContext(ctx)
	for _, p := range ps {
		found := trace.SpanContextFromContext(ctx)
		ctx = p.Extract(ctx, carrier)
		if !found.Equal(before) && !found.Equal(trace.SpanContextFromContext(ctx)) {
			ctx = trace.ContextWithRemoteSpanContext(ctx, found)
		}
	}
	return ctx
}

func (ps firstWins) Fields() []string {
	var fields []string
	for _, p := range ps {
		for _, f := range p.Fields() {
			if !slices.Contains(fields, f) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}
