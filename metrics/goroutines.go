// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// goroutineCollector shows what ctxutil knows about the work it started. There is
// one such account in a process. The names are bounded by ctxutil.
type goroutineCollector struct {
	started, ended, inFlight, leaked, oldest *prometheus.Desc
}

func newGoroutineCollector() prometheus.Collector {
	return goroutineCollector{
		started:  newDesc(&goroutinesStarted),
		ended:    newDesc(&goroutinesEnded),
		inFlight: newDesc(&goroutinesInFlight),
		leaked:   newDesc(&goroutinesLeaked),
		oldest:   newDesc(&goroutinesOldest),
	}
}

// Describe implements prometheus.Collector.
func (g goroutineCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.started, g.ended, g.inFlight, g.leaked, g.oldest} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g goroutineCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range ctxutil.Goroutines() {
		name := sanitize(s.Name)
		ok := s.Started - uint64(s.InFlight) - s.Panics - s.Errors - s.Canceled
		ch <- constMetric(g.started, prometheus.CounterValue, float64(s.Started), name)
		ch <- constMetric(g.ended, prometheus.CounterValue, float64(ok), name, "ok")
		ch <- constMetric(g.ended, prometheus.CounterValue, float64(s.Errors), name, "error")
		ch <- constMetric(g.ended, prometheus.CounterValue, float64(s.Canceled), name, "canceled")
		ch <- constMetric(g.ended, prometheus.CounterValue, float64(s.Panics), name, "panic")
		ch <- constMetric(g.inFlight, prometheus.GaugeValue, float64(s.InFlight), name)
		ch <- constMetric(g.leaked, prometheus.GaugeValue, float64(s.Leaked), name)
		if !s.OldestStart.IsZero() {
			seconds := float64(s.OldestStart.UnixNano()) / float64(time.Second)
			ch <- constMetric(g.oldest, prometheus.GaugeValue, seconds, name)
		}
	}
}
