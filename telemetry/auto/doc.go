// SPDX-License-Identifier: Apache-2.0

// Package auto starts telemetry because it is imported, for programs that want
// it from the OTEL_* environment and no code:
//
//	import _ "github.com/fairlead-go/fairlead/telemetry/auto"
//
// It is the one package of Fairlead whose import has an effect. Its init
// function
//
//   - runs telemetry.New with the metrics of prometheus.DefaultGatherer,
//   - makes its providers, its propagator and its error handler the global ones
//     of package otel,
//   - and makes slog.Default write JSON to standard error, with trace_id and
//     span_id, and send the same records as OTLP logs. Package log follows.
//
// Libraries must not import it: what is global is for package main to choose. A
// program with options of its own calls telemetry.New instead.
//
// # Failure
//
// A program does not fail for want of telemetry. If a variable is wrong, the
// error is logged and kept ([Err]), nothing is recorded, and the identities of
// requests are still passed on, in the W3C formats; slog.Default writes to
// standard error in any case. OTEL_SDK_DISABLED=true is no failure.
//
// # Flush
//
// What is queued when a process ends is lost: up to five seconds of spans, one of
// log records and a minute of metrics, with the variables' defaults. A program
// that ends in an orderly way imports this package by name and calls [Shutdown]
// last. Signals are left alone.
//
//	func main() {
//		defer func() {
//			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
//			defer cancel()
//			_ = auto.Shutdown(ctx)
//		}()
//		...
//	}
package auto
