// SPDX-License-Identifier: Apache-2.0

// Package telemetrytest proves in a test that the spans, log lines, metrics and
// exemplars of a run tell one story: no span that was never ended, none without
// its parent, no log line without the ids of its request or with somebody
// else's, no exemplar that leads nowhere, and three signals that count the same
// calls with the same codes and durations.
//
// A [Recorder] takes everything in while the services under test run. Stop
// them, so that their last spans and lines are there, and check:
//
//	rec := telemetrytest.NewRecorder()
//	provider := rec.TracerProvider("order")
//	logger := slog.New(logging.NewHandler(rec.LogHandler("order")))
//	rec.AddMetrics("order", registry)
//	// … start the service with these, send it requests, stop it …
//
//	run := rec.Run(t)
//	telemetrytest.Check(t, run)
//	run.Traces().Covers("gateway", "order").NoOrphans()
//	run.Logs().AllCorrelated()
//
// [Rules] lists what [Check] looks at, each rule with its reason. A rule that
// does not apply is switched off by name with [Without]; an exception is
// declared with an option such as [External] or [Uncorrelated], so that it can
// be read in the test. A failure names the offender and shows the tree of its
// trace.
//
// Several services may share a Recorder, and a process may have several. Give
// each service its own tracer provider, log sink and registry, named after it:
// the three are then compared service by service.
//
// # What it is not
//
// It is no collector and no exporter: it sees what passes through the processes
// it is installed in. It does not tell whether a trace makes sense, only
// whether the signals agree about it.
//
// # Cost
//
// A Recorder keeps every span and line until it is dropped, about 1 kB each, up
// to a limit. What did not fit is counted, and is itself a problem: a verdict
// on half a run is none.
package telemetrytest
