// SPDX-License-Identifier: Apache-2.0

package semconv_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	upstream "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"
	"go.opentelemetry.io/otel/semconv/v1.43.0/rpcconv"

	"github.com/fairlead-go/fairlead/internal/semconv"
	"github.com/fairlead-go/fairlead/metrics"
)

// TestMetricsFollowTheConventions holds the metrics' names table against the
// instruments that the conventions generate: a renamed metric fails here.
func TestMetricsFollowTheConventions(t *testing.T) {
	type instrument interface {
		Name() string
		Unit() string
		Description() string
	}
	want := map[string]instrument{}
	for _, i := range []instrument{
		rpcconv.ServerCallDuration{}, rpcconv.ClientCallDuration{},
		httpconv.ServerRequestDuration{}, httpconv.ClientRequestDuration{},
		httpconv.ServerActiveRequests{}, httpconv.ClientActiveRequests{},
	} {
		want[i.Name()] = i
	}
	for _, m := range metrics.Names() {
		if m.Semconv == "" || m.Group != metrics.GroupCore {
			continue
		}
		i, ok := want[m.Semconv]
		if !ok {
			t.Errorf("%s is not in the conventions", m.Semconv)
			continue
		}
		delete(want, m.Semconv)
		if m.Unit != i.Unit() || m.Help != i.Description() {
			t.Errorf("%s: unit %q and help %q, want %q and %q", m.Semconv, m.Unit, m.Help, i.Unit(), i.Description())
		}
	}
	for name := range want {
		t.Errorf("%s is not made", name)
	}
}

// TestPrometheusNames holds both names of a metric together by the rule for
// translating one into the other
// (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
func TestPrometheusNames(t *testing.T) {
	units := map[string]string{"s": "_seconds", "ms": "_milliseconds"}
	for _, m := range metrics.Names() {
		if m.Semconv == "" {
			continue
		}
		name := strings.ReplaceAll(m.Semconv, ".", "_") + units[m.Unit]
		if m.Kind == metrics.KindCounter {
			name += "_total"
		}
		if m.Name != name {
			t.Errorf("%s is %s, want %s", m.Semconv, m.Name, name)
		}
	}
}

// TestMetricLabelsAreAttributes: every label of a metric in the conventions is an
// attribute's key, translated.
func TestMetricLabelsAreAttributes(t *testing.T) {
	known := map[string]bool{}
	for _, k := range []string{
		string(upstream.RPCSystemNameKey), string(upstream.RPCMethodKey), string(upstream.RPCResponseStatusCodeKey),
		string(upstream.HTTPRequestMethodKey), string(upstream.HTTPRouteKey), string(upstream.HTTPResponseStatusCodeKey),
		string(upstream.URLSchemeKey), string(upstream.ErrorTypeKey),
		string(upstream.ServerAddressKey), string(upstream.ServerPortKey),
		string(semconv.OldRPCSystemKey), string(semconv.OldRPCServiceKey), string(semconv.OldRPCStatusCodeKey),
	} {
		known[strings.ReplaceAll(k, ".", "_")] = true
	}
	for _, m := range metrics.Names() {
		if m.Group == metrics.GroupGRPCMiddleware || strings.HasPrefix(m.Name, "fairlead_") {
			continue
		}
		for _, l := range m.Labels {
			if !known[l] {
				t.Errorf("%s: label %s is no attribute of the conventions", m.Name, l)
			}
		}
	}
}

func TestSchemaURL(t *testing.T) {
	if diff := cmp.Diff("https://opentelemetry.io/schemas/1.43.0", semconv.SchemaURL); diff != "" {
		t.Errorf("the version changed: check every name in this package (-want +got):\n%s", diff)
	}
}
