// SPDX-License-Identifier: Apache-2.0

// Package report shows a run of the shop to a person: how it goes, and single
// requests in full, as a tree of spans with their log lines.
//
//	rec := report.NewRecorder()
//	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
//	logger := slog.New(slog.NewJSONHandler(rec.LogWriter(), nil))
//	…
//	t, err := rec.Trace(ctx, id)
//	fmt.Print(t.Render())
//
// A [Recorder] keeps the traces of one process, and only the recent ones. Where
// the services are processes of their own, [Merge] puts together what each of
// them saw.
//
// It stands in for a tracing back end and a log store, so that the shop needs
// neither to be looked at. With the flag -otlp it has real ones.
package report
