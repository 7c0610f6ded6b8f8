// SPDX-License-Identifier: Apache-2.0

// Package semconv is the one table of OpenTelemetry semantic convention names
// that spans, log lines and metrics of this module share, so that the three
// cannot disagree about what a thing is called.
//
// It follows version 1.43.0 of the conventions, which is also what otelgrpc 0.72
// writes, and it is the only package that imports a semconv version: a renamed
// attribute is one change here. The names that RPC instrumentation used before
// are kept in rpc_old.go for OTEL_SEMCONV_STABILITY_OPT_IN=rpc/dup and rpc/old;
// the HTTP conventions are stable and have one form only.
//
// It holds names and the pure rules that choose a value (which gRPC code is a
// server's fault, which HTTP method is known, what a route is). It starts no
// span, keeps no state, and knows neither grpc nor net/http.
//
// See https://opentelemetry.io/docs/specs/semconv/rpc/ and
// https://opentelemetry.io/docs/specs/semconv/http/.
package semconv

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// SchemaURL names the version of the conventions this package follows.
const SchemaURL = semconv.SchemaURL

// Other is the value for everything that may not become a value of its own:
// methods nobody registered, unknown HTTP methods, label values past their cap.
const Other = "_OTHER"

// Keys of the ids that join logs and exemplars to traces. In a log record they
// stand at its root; OpenTelemetry asks for exactly these names in text formats
// (https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/).
const (
	TraceIDKey = "trace_id"
	SpanIDKey  = "span_id"
)
