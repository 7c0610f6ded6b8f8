// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures what Fairlead costs over the bare transport, and
// beside it what the usual stack costs that does the same work: otelgrpc or
// otelhttp, go-grpc-middleware's logging, Prometheus and recovery, or promhttp
// and slog.
//
// Every contender has the same SDK tracer provider, whose spans go nowhere, its
// own Prometheus registry, and a JSON log on [io.Discard]; TestSameWork checks
// that each of them makes linked spans on both sides, a log line with the trace
// id, metrics and exemplars, and survives a panic. A call comes from a caller that has
// a span, because the usual stack's client metrics have exemplars only then.
//
// Measured: the whole call, client and server together, over an in-memory
// connection; allocations; process CPU time as cpu-ns/op, which a busy machine
// disturbs less than the wall clock. Not measured: networks, big messages,
// exporters. Compare within one run; never across machines.
//
//	GOWORK=off go test -bench . -count 10 | tee new.txt && benchstat new.txt
package benchmarks
