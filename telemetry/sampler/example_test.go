// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-go/fairlead/telemetry/sampler"
)

func ExamplePerSecond() {
	two, err := sampler.PerSecond(2)
	if err != nil {
		panic(err)
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler.ParentBased(two))).Tracer("example")
	for range 4 {
		_, span := tracer.Start(context.Background(), "request")
		fmt.Println(span.SpanContext().IsSampled())
		span.End()
	}
	// Output:
	// true
	// true
	// false
	// false
}

func ExampleRules() {
	tenth, err := sampler.Ratio(0.1)
	if err != nil {
		panic(err)
	}
	rules, err := sampler.Rules(tenth,
		sampler.Rule{Path: "/healthz", Sampler: sdktrace.NeverSample()},
		sampler.Rule{RPCMethod: "shop.v1.Payment/*", Sampler: sdktrace.AlwaysSample()})
	if err != nil {
		panic(err)
	}
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler.ParentBased(rules))).Tracer("example")
	start := func(name string, attr attribute.KeyValue) {
		_, span := tracer.Start(context.Background(), name, trace.WithAttributes(attr))
		fmt.Println(name, span.SpanContext().IsSampled())
		span.End()
	}
	start("GET", attribute.String("url.path", "/healthz"))
	start("shop.v1.Payment/Charge", attribute.String("rpc.method", "shop.v1.Payment/Charge"))
	// Output:
	// GET false
	// shop.v1.Payment/Charge true
}
