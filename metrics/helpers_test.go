// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"flag"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/metrics"
)

var update = flag.Bool("update", false, "write the golden files")

const openMetrics = "application/openmetrics-text;version=1.0.0"

// trace is an exemplar of a sampled trace.
var trace = metrics.Exemplar{
	TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7", Sampled: true,
}

// newSet returns a Set on a registry that checks what collectors promise. It does
// not depend on the environment of whoever runs the test.
func newSet(t testing.TB, opts ...metrics.Option) (*metrics.Set, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	opts = append([]metrics.Option{metrics.WithSemconvOptIn(""), metrics.WithKnownHTTPMethods()}, opts...)
	set, err := metrics.New(reg, opts...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return set, reg
}

// scrape returns what a scraper that accepts a format gets.
func scrape(t testing.TB, g prometheus.Gatherer, accept string) string {
	t.Helper()
	// Behind a function, so that the handler does not count itself in the registry.
	h := metrics.Handler(prometheus.GathererFunc(g.Gather))
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// lines returns the lines of a scrape that start with one of prefixes.
func lines(text string, prefixes ...string) []string {
	var out []string
	for line := range strings.Lines(text) {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				out = append(out, strings.TrimSuffix(line, "\n"))
				break
			}
		}
	}
	return out
}

// seriesOf returns how many children each family has.
func seriesOf(t testing.TB, g prometheus.Gatherer) map[string]int {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	n := map[string]int{}
	for _, f := range families {
		n[f.GetName()] = len(f.GetMetric())
	}
	return n
}

// golden compares got to a file in testdata, or writes that with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", name, diff)
	}
}

// sorted returns the keys of m in order.
func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
