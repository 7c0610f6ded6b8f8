// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry/sampler"
)

func TestSamplingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	perSecond, err := sampler.PerSecond(100)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := sampler.Rules(perSecond,
		sampler.Rule{Path: "/static/*", Sampler: sdktrace.NeverSample()},
		sampler.Rule{RPCMethod: "shop.v1.Payment/*", Sampler: sdktrace.NeverSample()})
	if err != nil {
		t.Fatal(err)
	}
	p := sdktrace.SamplingParameters{
		ParentContext: t.Context(), Name: "shop.v1.Order/Get",
		Attributes: []attribute.KeyValue{attribute.String("rpc.method", "shop.v1.Order/Get")},
	}
	s := sampler.ParentBased(rules)
	if n := testing.AllocsPerRun(1000, func() { s.ShouldSample(p) }); n != 0 {
		t.Errorf("%v allocations a decision, want none", n)
	}
}
