// SPDX-License-Identifier: Apache-2.0

package telemetry

// ScrapeAddr returns where OTEL_METRICS_EXPORTER=prometheus serves, for tests
// that ask for any free port.
func (t *Telemetry) ScrapeAddr() string {
	for _, r := range t.metricReaders {
		if s, ok := r.(*scrapeReader); ok {
			return s.addr
		}
	}
	return ""
}
