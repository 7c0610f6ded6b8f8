// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/fairlead-go/fairlead/telemetry"
	"github.com/fairlead-go/fairlead/telemetry/internal/otlptest"
	"github.com/fairlead-go/fairlead/telemetry/tail"
)

func TestOptionsAreValidated(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  telemetry.Option
		want string
	}{
		"attribute":      {telemetry.WithResourceAttributes(attribute.String("", "v")), `WithResourceAttributes is "", must have a key`},
		"detector":       {telemetry.WithResourceDetectors(nil), "WithResourceDetectors is <nil>, must not be nil"},
		"detect timeout": {telemetry.WithDetectTimeout(0), "WithDetectTimeout is 0s, must be more than 0"},
		"exporter":       {telemetry.WithDefaultExporter("jaeger"), `WithDefaultExporter is "jaeger", must be one of otlp, console, none`},
		"sampler":        {telemetry.WithSampler(nil), "WithSampler is <nil>, must be a sampler"},
		"tail":           {telemetry.WithTail(tail.WithRatio(3)), "tail: WithRatio is 3"},
		"gatherer":       {telemetry.WithGatherer(nil), "WithGatherer is <nil>"},
		"span exporter":  {telemetry.WithSpanExporter(nil), "WithSpanExporter is <nil>"},
		"span processor": {telemetry.WithSpanProcessor(nil), "WithSpanProcessor is <nil>"},
		"metric reader":  {telemetry.WithMetricReader(nil), "WithMetricReader is <nil>"},
		"log exporter":   {telemetry.WithLogExporter(nil), "WithLogExporter is <nil>"},
		"log level":      {telemetry.WithLogLevel(nil), "WithLogLevel is <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			tel, err := telemetry.New(t.Context(), telemetry.WithDefaultExporter("none"), telemetry.Options(tc.opt))
			if err == nil {
				_ = tel.Shutdown(t.Context())
				t.Fatalf("no error, want one that says %s", tc.want)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q, want it to say %s", err, tc.want)
			}
		})
	}
}

func TestServiceNameAndItsSource(t *testing.T) {
	for name, tc := range map[string]struct {
		env    []string
		opts   []telemetry.Option
		want   string
		source telemetry.Source
	}{
		"default":         {nil, nil, "unknown_service:telemetry.test", telemetry.SourceDefault},
		"option":          {nil, []telemetry.Option{telemetry.WithServiceName("a")}, "a", telemetry.SourceOption},
		"attributes win":  {[]string{"OTEL_RESOURCE_ATTRIBUTES=x=1, service.name = b"}, []telemetry.Option{telemetry.WithServiceName("a")}, "b", telemetry.SourceEnvironment},
		"the name wins":   {[]string{"OTEL_RESOURCE_ATTRIBUTES=service.name=b", "OTEL_SERVICE_NAME=c"}, nil, "c", telemetry.SourceEnvironment},
		"empty is no set": {[]string{"OTEL_SERVICE_NAME="}, []telemetry.Option{telemetry.WithServiceName("a")}, "a", telemetry.SourceOption},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tc.env...)
			tel := start(t, append(tc.opts, telemetry.WithDefaultExporter("none"))...)
			got, _ := tel.Resource().Set().Value("service.name")
			if got.AsString() != tc.want {
				t.Errorf("service.name = %q, want %q", got.AsString(), tc.want)
			}
			if s := tel.Settings()[1]; s.Name != "OTEL_SERVICE_NAME" || s.Value != tc.want || s.Source != tc.source {
				t.Errorf("setting %+v, want %q from %s", s, tc.want, tc.source)
			}
		})
	}
}

type detectorFunc func(context.Context) (*resource.Resource, error)

func (f detectorFunc) Detect(ctx context.Context) (*resource.Resource, error) { return f(ctx) }

func TestDetectorsAreBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := func(after time.Duration, key string) resource.Detector {
			return detectorFunc(func(context.Context) (*resource.Resource, error) { // ignores its context
				time.Sleep(after)
				return resource.NewSchemaless(attribute.String(key, "found")), nil
			})
		}
		failing := detectorFunc(func(context.Context) (*resource.Resource, error) { return nil, errors.New("no metadata server") })
		var said journal
		begin := time.Now()
		tel := start(t, telemetry.WithDefaultExporter("none"), telemetry.WithLogger(said.logger()),
			telemetry.WithResourceDetectors(found(time.Second, "fast"), found(time.Hour, "slow"), failing),
			telemetry.WithDetectTimeout(3*time.Second))
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("New took %v, want the 3s of the detectors", took)
		}
		if v, _ := tel.Resource().Set().Value("fast"); v.AsString() != "found" {
			t.Error("what the fast detector found is missing")
		}
		if _, ok := tel.Resource().Set().Value("slow"); ok {
			t.Error("the slow detector was waited for")
		}
		if got := said.with("the resource is incomplete"); len(got) != 2 ||
			!strings.Contains(got[0], "no metadata server") || !strings.Contains(got[1], "1 of 3 detectors") {
			t.Errorf("said %q, want the failure and the delay", got)
		}
		time.Sleep(time.Hour) // the slow one ends by itself
	})
}

func TestForServiceGivesNameAndMetrics(t *testing.T) {
	collector := otlptest.NewHTTP(t)
	setenv(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL())
	registry := prometheus.NewRegistry()
	begin := telemetry.ForService(telemetry.WithResourceAttributes(attribute.String("zone", "z1")))
	tel, err := begin(t.Context(), "order", registry)
	if err != nil {
		t.Fatal(err)
	}
	emit(t, tel, registry)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := collector.Resource(); res["service.name"] != "order" || res["zone"] != "z1" || collector.Metrics()["requests_total"] == nil {
		t.Errorf("resource %v, metrics %v; want order in z1, and the registry", res, collector.Metrics())
	}
}
