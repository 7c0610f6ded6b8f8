// SPDX-License-Identifier: Apache-2.0

package tail_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/tail"
)

// printer stands for a batch processor with an exporter.
type printer struct{ sdktrace.SpanProcessor }

func (printer) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (printer) OnEnd(s sdktrace.ReadOnlySpan) {
	fmt.Println("kept", s.Name(), s.SpanContext().IsSampled())
}

// The head samples nothing, and still the trace with an error is kept, from its
// first span on.
func ExampleNew() {
	keep, err := tail.New(printer{}, tail.WithSlow(300*time.Millisecond))
	if err != nil {
		panic(err)
	}
	tracer := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(tail.Head(sdktrace.NeverSample())),
		sdktrace.WithSpanProcessor(keep)).Tracer("example")

	for _, fails := range []bool{false, true} {
		ctx, request := tracer.Start(context.Background(), "request")
		_, query := tracer.Start(ctx, "query")
		query.End()
		if fails {
			request.SetStatus(codes.Error, "out of stock")
		}
		request.End()
	}
	fmt.Println("dropped", keep.Stats().Dropped)
	// Output:
	// kept query true
	// kept request true
	// dropped 1
}

// A long poll is no slow request.
func ExampleWithRule() {
	longPoll := func(s sdktrace.ReadOnlySpan) tail.Verdict {
		if s.Name() == "watch" {
			return tail.Excuse
		}
		return tail.NoOpinion
	}
	keep, err := tail.New(printer{}, tail.WithSlow(time.Minute), tail.WithRule(longPoll))
	if err != nil {
		panic(err)
	}
	tracer := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(tail.Head(sdktrace.NeverSample())),
		sdktrace.WithSpanProcessor(keep)).Tracer("example")
	for _, name := range []string{"watch", "request"} {
		anHourAgo := trace.WithTimestamp(time.Now().Add(-time.Hour))
		_, span := tracer.Start(context.Background(), name, anHourAgo)
		span.End()
	}
	// Output:
	// kept request true
}
