// SPDX-License-Identifier: Apache-2.0

package telemetrytest_test

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// labelled adds a registry with a gauge that has each of the values.
func (w *world) labelled(name string, values ...string) {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "jobs", Help: "Jobs."}, []string{name})
	reg := prometheus.NewRegistry()
	reg.MustRegister(g)
	for _, v := range values {
		g.WithLabelValues(v).Set(1)
	}
	w.rec.AddMetrics("batch", reg)
}

func numbers(n int) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	return values
}

var metricBreaches = []breach{
	{
		name: "trace id", rule: telemetrytest.MetricIDs,
		play: func(w *world) { w.labelled("job", strangeTrace) },
		want: []string{"label job", "jobs{", strangeTrace, "of batch"},
	},
	{
		name: "UUID in a path", rule: telemetrytest.MetricIDs,
		play: func(w *world) { w.labelled("path", "/orders/6BA7B810-9dad-11d1-80b4-00c04fd430c8/items") },
		want: []string{"label path"},
	},
	{
		name: "1001 series", rule: telemetrytest.MetricSeries,
		play: func(w *world) { w.labelled("job", numbers(1001)...) },
		want: []string{"jobs of batch", "1001 series", "may have 1000"},
	},
	{
		name: "more series than the test allows", rule: telemetrytest.MetricSeries,
		play: func(w *world) { w.labelled("job", numbers(6)...) },
		opts: []telemetrytest.Option{telemetrytest.WithMaxSeries(5)},
		want: []string{"6 series", "may have 5"},
	},
}

var metricAllowances = []allowance{
	{
		name: "harmless labels",
		play: func(w *world) {
			w.labelled("job", "/orders/{id}", "v1.2.3-deadbeef", "5a71582c462d37aa00bb11cc22dd33ee44ff5566", "h1:abc=", "00000000-0000")
		},
	},
	{
		name: "1000 series",
		play: func(w *world) { w.labelled("job", numbers(1000)...) },
	},
	{
		name: "one id a process",
		play: func(w *world) { w.labelled("service_instance_id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8") },
		opts: []telemetrytest.Option{telemetrytest.IDLabels("service_instance_id")},
	},
}
