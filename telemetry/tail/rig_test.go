// SPDX-License-Identifier: Apache-2.0

package tail_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// rig is a tracer whose spans go through a tail processor into a recorder.
type rig struct {
	t        *testing.T
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider
	tail     *tail.Processor
	next     *tracetest.SpanRecorder
}

// newRig samples nothing at the head.
func newRig(t *testing.T, opts ...tail.Option) *rig {
	t.Helper()
	return newRigWithHead(t, sdktrace.ParentBased(sdktrace.NeverSample()), opts...)
}

func newRigWithHead(t *testing.T, head sdktrace.Sampler, opts ...tail.Option) *rig {
	t.Helper()
	next := tracetest.NewSpanRecorder()
	p, err := tail.New(next, opts...)
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(tail.Head(head)), sdktrace.WithSpanProcessor(p))
	return &rig{t: t, tracer: provider.Tracer("test"), provider: provider, tail: p, next: next}
}

func (r *rig) start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	return r.tracer.Start(ctx, name, opts...)
}

func fail(s trace.Span) {
	s.SetStatus(codes.Error, "failed")
	s.End()
}

// passed checks the names of the spans passed on so far, in order, and that
// each has the sampled flag, without which batchers drop them.
func (r *rig) passed(want ...string) {
	r.t.Helper()
	var got []string
	for _, s := range r.next.Ended() {
		got = append(got, s.Name())
		if !s.SpanContext().IsSampled() {
			r.t.Errorf("span %q was passed on without the sampled flag", s.Name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("spans passed on (-want +got):\n%s", diff)
	}
}

func (r *rig) stats(want tail.Stats) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.tail.Stats()); diff != "" {
		r.t.Errorf("Stats() (-want +got):\n%s", diff)
	}
}

// remote returns a context with an unsampled remote parent of trace n, as a
// server gets it. The ids are spread so that a ratio of 0.5 takes the even n.
func remote(t *testing.T, n uint64) context.Context {
	id := trace.TraceID{0: 1, 7: byte(n), 15: 1}
	if n%2 == 1 {
		id[8] = 0xf0
	}
	binary.BigEndian.PutUint32(id[10:], uint32(n))
	return trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: trace.SpanID{7}, Remote: true,
	}))
}

func names(spans []sdktrace.ReadOnlySpan) string {
	var all []string
	for _, s := range spans {
		all = append(all, s.Name())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
