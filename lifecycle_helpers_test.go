// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/fairlead-go/fairlead"
)

func jsonLines(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) }

// gathered returns the values of a metric that are not 0 and whose first label is
// this, as "outcome value", in the order of outcomes.
func gathered(t *testing.T, svc *fairlead.Service, name, label string) string {
	t.Helper()
	families, err := svc.MetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var outcome string
			match := false
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == label
				if l.GetValue() != label {
					outcome = l.GetValue()
				}
			}
			if v := value(m); match && v != 0 {
				texts = append(texts, fmt.Sprintf("%s %v", outcome, v))
			}
		}
	}
	return strings.Join(texts, ", ")
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}
