// SPDX-License-Identifier: Apache-2.0

package tail_test

import (
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// TestAllocations bounds what the processor adds to a span that is recorded
// anyway: a record per undecided trace, and nothing for sampled spans.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, tc := range map[string]struct {
		head   sdktrace.Sampler
		budget float64
	}{
		"unsampled": {sdktrace.NeverSample(), 3},
		"sampled":   {sdktrace.AlwaysSample(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			perSpan := func(p sdktrace.SpanProcessor) float64 {
				tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(tail.Head(tc.head)), sdktrace.WithSpanProcessor(p)).Tracer("test")
				ctx := t.Context()
				return testing.AllocsPerRun(1000, func() {
					_, s := tracer.Start(ctx, "span")
					s.End()
				})
			}
			next := sdktrace.NewSimpleSpanProcessor(nil)
			p, err := tail.New(next)
			if err != nil {
				t.Fatal(err)
			}
			if added := perSpan(p) - perSpan(next); added > tc.budget {
				t.Errorf("the tail adds %v allocations to a span, want at most %v", added, tc.budget)
			}
		})
	}
}
