// SPDX-License-Identifier: Apache-2.0

package telemetry

import "github.com/fairlead-go/fairlead/telemetry/tail"

// Stats is what became of the telemetry since the start.
type Stats struct {
	Traces  SignalStats
	Metrics SignalStats
	Logs    SignalStats
	// Tail is zero without [WithTail].
	Tail tail.Stats
}

// SignalStats counts spans, metric data points or log records; of several
// exporters, each counts for itself. Metrics have no queue.
type SignalStats struct {
	// Exported got through to the exporter's destination.
	Exported uint64
	// Failed was refused or not answered in time, and is lost. A batch that the
	// collector took in part counts as failed as a whole.
	Failed uint64
	// QueueFull was dropped because the exporter did not keep up.
	QueueFull uint64
	// TooLate was dropped because of shutdown: it came after it, or shutdown ran
	// out of time.
	TooLate uint64
	// Queued waits in queues that hold up to Capacity.
	Queued, Capacity int
	// Down is true while the last export of an exporter has failed.
	Down bool
}

// Lost is everything that did not get through.
func (s SignalStats) Lost() uint64 { return s.Failed + s.QueueFull + s.TooLate }

func (s SignalStats) plus(o SignalStats) SignalStats {
	return SignalStats{
		Exported: s.Exported + o.Exported, Failed: s.Failed + o.Failed,
		QueueFull: s.QueueFull + o.QueueFull, TooLate: s.TooLate + o.TooLate,
		Queued: s.Queued + o.Queued, Capacity: s.Capacity + o.Capacity, Down: s.Down || o.Down,
	}
}

// Stats returns the current numbers. [Telemetry.Collector] has them as metrics.
func (t *Telemetry) Stats() Stats {
	var s Stats
	for _, q := range t.spanQueues {
		s.Traces = s.Traces.plus(q.stats())
	}
	for _, g := range t.metricGuards {
		s.Metrics = s.Metrics.plus(SignalStats{Exported: g.exported.Load(), Failed: g.failed.Load(), Down: g.isDown()})
	}
	for _, q := range t.logQueues {
		s.Logs = s.Logs.plus(q.stats())
	}
	if t.tail != nil {
		s.Tail = t.tail.Stats()
	}
	return s
}
