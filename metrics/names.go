// SPDX-License-Identifier: Apache-2.0

package metrics

import "slices"

// Kind is the kind of a metric.
type Kind string

// The kinds.
const (
	KindCounter   Kind = "counter"
	KindGauge     Kind = "gauge"
	KindHistogram Kind = "histogram"
)

// Group says what has to be asked for before a metric is there.
type Group string

// The groups.
const (
	// GroupCore is there in every Set.
	GroupCore Group = "core"
	// GroupOldRPC needs OTEL_SEMCONV_STABILITY_OPT_IN=rpc/dup or rpc/old.
	GroupOldRPC Group = "rpc/old"
	// GroupGRPCMiddleware needs WithGRPCMiddlewareNames.
	GroupGRPCMiddleware Group = "grpc-middleware"
	// GroupRuntime needs RegisterRuntime.
	GroupRuntime Group = "runtime"
)

// Metric is one row of the names table.
type Metric struct {
	// Name is the Prometheus name, with its unit and, for counters, "_total".
	Name string
	// Semconv is the name in the OpenTelemetry conventions; empty if the metric
	// is not in them.
	Semconv string
	// Kind is counter, gauge or histogram.
	Kind Kind
	// Unit is the UCUM unit: "s", "ms", "{call}", …
	Unit string
	// Help is the help text.
	Help string
	// Labels are the label names, in the order of the OpenTelemetry page.
	Labels []string
	// Group says what makes the metric appear.
	Group Group
}

// Names returns a copy of the table of all metrics this package makes, ordered by
// group. Dashboards, alerts and tests are written against it. The go_* and
// process_* metrics of [RegisterRuntime] and the promhttp_* metrics of [Handler]
// are client_golang's and not in it.
func Names() []Metric {
	all := make([]Metric, 0, len(table))
	for _, m := range table {
		c := *m
		c.Labels = slices.Clone(m.Labels)
		all = append(all, c)
	}
	return all
}

// Labels of the RPC metrics.
var (
	rpcServerLabels = []string{"rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type"}
	rpcClientLabels = []string{"rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type", "server_address", "server_port"}
	rpcMethodLabels = []string{"rpc_system_name", "rpc_method"}
	oldRPCLabels    = []string{"rpc_system", "rpc_service", "rpc_method", "rpc_grpc_status_code"}
	grpcLabels      = []string{"grpc_type", "grpc_service", "grpc_method"}
	grpcCodeLabels  = []string{"grpc_type", "grpc_service", "grpc_method", "grpc_code"}
)

// Labels of the HTTP metrics.
var (
	httpServerLabels       = []string{"http_request_method", "url_scheme", "http_route", "http_response_status_code", "error_type"}
	httpClientLabels       = []string{"http_request_method", "url_scheme", "server_address", "server_port", "http_response_status_code", "error_type"}
	httpServerActiveLabels = []string{"http_request_method", "url_scheme"}
	httpClientActiveLabels = []string{"http_request_method", "url_scheme", "server_address", "server_port"}
)

// The metrics of RPC servers and clients.
var (
	rpcServerCallDuration = Metric{
		Name: "rpc_server_call_duration_seconds", Semconv: "rpc.server.call.duration",
		Kind: KindHistogram, Unit: "s", Labels: rpcServerLabels, Group: GroupCore,
		Help: "Measures the duration of an incoming Remote Procedure Call (RPC).",
	}
	rpcClientCallDuration = Metric{
		Name: "rpc_client_call_duration_seconds", Semconv: "rpc.client.call.duration",
		Kind: KindHistogram, Unit: "s", Labels: rpcClientLabels, Group: GroupCore,
		Help: "Measures the duration of an outgoing Remote Procedure Call (RPC).",
	}
	rpcClientAttemptDuration = Metric{
		Name: "rpc_client_attempt_duration_seconds",
		Kind: KindHistogram, Unit: "s", Labels: rpcClientLabels, Group: GroupCore,
		Help: "Measures the duration of one attempt of an outgoing Remote Procedure Call (RPC).",
	}
	rpcServerActiveCalls = Metric{
		Name: "rpc_server_active_calls",
		Kind: KindGauge, Unit: "{call}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of incoming Remote Procedure Calls (RPCs) in progress.",
	}
	rpcClientActiveCalls = Metric{
		Name: "rpc_client_active_calls",
		Kind: KindGauge, Unit: "{call}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of outgoing Remote Procedure Calls (RPCs) in progress.",
	}
	rpcServerMessagesReceived = Metric{
		Name: "rpc_server_stream_messages_received_total",
		Kind: KindCounter, Unit: "{message}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of messages received from clients on streams.",
	}
	rpcServerMessagesSent = Metric{
		Name: "rpc_server_stream_messages_sent_total",
		Kind: KindCounter, Unit: "{message}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of messages sent to clients on streams.",
	}
	rpcClientMessagesReceived = Metric{
		Name: "rpc_client_stream_messages_received_total",
		Kind: KindCounter, Unit: "{message}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of messages received from servers on streams.",
	}
	rpcClientMessagesSent = Metric{
		Name: "rpc_client_stream_messages_sent_total",
		Kind: KindCounter, Unit: "{message}", Labels: rpcMethodLabels, Group: GroupCore,
		Help: "Number of messages sent to servers on streams.",
	}
)

// The metrics of HTTP servers and clients.
var (
	httpServerRequestDuration = Metric{
		Name: "http_server_request_duration_seconds", Semconv: "http.server.request.duration",
		Kind: KindHistogram, Unit: "s", Labels: httpServerLabels, Group: GroupCore,
		Help: "Duration of HTTP server requests.",
	}
	httpClientRequestDuration = Metric{
		Name: "http_client_request_duration_seconds", Semconv: "http.client.request.duration",
		Kind: KindHistogram, Unit: "s", Labels: httpClientLabels, Group: GroupCore,
		Help: "Duration of HTTP client requests.",
	}
	httpClientAttemptDuration = Metric{
		Name: "http_client_attempt_duration_seconds",
		Kind: KindHistogram, Unit: "s", Labels: httpClientLabels, Group: GroupCore,
		Help: "Duration of one attempt of an HTTP client request.",
	}
	httpServerActiveRequests = Metric{
		Name: "http_server_active_requests", Semconv: "http.server.active_requests",
		Kind: KindGauge, Unit: "{request}", Labels: httpServerActiveLabels, Group: GroupCore,
		Help: "Number of active HTTP server requests.",
	}
	httpClientActiveRequests = Metric{
		Name: "http_client_active_requests", Semconv: "http.client.active_requests",
		Kind: KindGauge, Unit: "{request}", Labels: httpClientActiveLabels, Group: GroupCore,
		Help: "Number of active HTTP requests.",
	}
)

// Fairlead's own metrics.
var (
	panicsTotal = Metric{
		Name: "fairlead_panics_total",
		Kind: KindCounter, Unit: "{panic}", Labels: []string{"source"}, Group: GroupCore,
		Help: "Number of panics recovered, by where.",
	}
	droppedTotal = Metric{
		Name: "fairlead_telemetry_dropped_total",
		Kind: KindCounter, Unit: "{item}", Labels: []string{"signal", "reason"}, Group: GroupCore,
		Help: "Number of log records, spans or metric points that were dropped, by signal and reason.",
	}
	labelOverflowTotal = Metric{
		Name: "fairlead_metrics_label_overflow_total",
		Kind: KindCounter, Unit: "{value}", Labels: []string{"label"}, Group: GroupCore,
		Help: "Number of times a label value was replaced by _OTHER because its label is at its cap.",
	}
	labelValues = Metric{
		Name: "fairlead_metrics_label_values",
		Kind: KindGauge, Unit: "{value}", Labels: []string{"label"}, Group: GroupCore,
		Help: "Number of values admitted to a guarded label.",
	}
	goroutinesStarted = Metric{
		Name: "fairlead_goroutines_started_total",
		Kind: KindCounter, Unit: "{goroutine}", Labels: []string{"name"}, Group: GroupRuntime,
		Help: "Number of pieces of work begun on goroutines of their own, by name.",
	}
	goroutinesEnded = Metric{
		Name: "fairlead_goroutines_ended_total",
		Kind: KindCounter, Unit: "{goroutine}", Labels: []string{"name", "outcome"}, Group: GroupRuntime,
		Help: "Number of pieces of work that ended, by name and by outcome: ok, error, canceled or panic.",
	}
	goroutinesInFlight = Metric{
		Name: "fairlead_goroutines_in_flight",
		Kind: KindGauge, Unit: "{goroutine}", Labels: []string{"name"}, Group: GroupRuntime,
		Help: "Number of pieces of work that are running, by name.",
	}
	goroutinesLeaked = Metric{
		Name: "fairlead_goroutines_leaked",
		Kind: KindGauge, Unit: "{goroutine}", Labels: []string{"name"}, Group: GroupRuntime,
		Help: "Number of pieces of work that are running though their request or their deadline is over, by name.",
	}
	goroutinesOldest = Metric{
		Name: "fairlead_goroutines_oldest_start_timestamp_seconds",
		Kind: KindGauge, Unit: "s", Labels: []string{"name"}, Group: GroupRuntime,
		Help: "Unix time at which the longest running piece of work began, by name; absent if none is running.",
	}
	buildInfo = Metric{
		Name: "fairlead_build_info",
		Kind: KindGauge, Unit: "1", Labels: []string{"version", "goversion"}, Group: GroupRuntime,
		Help: "Version of the Fairlead module this binary was built with; the value is always 1.",
	}
)

// What resilience policies decide, see [Set.Policies], and the state they are in,
// see [Set.CollectPolicies]. name is which one: mostly the downstream service.
var (
	policyRejectionsTotal = Metric{
		Name: "fairlead_policy_rejections_total",
		Kind: KindCounter, Unit: "{call}", Labels: []string{"policy", "name", "reason"}, Group: GroupCore,
		Help: "Number of calls that a policy refused before they were sent or handled, by why.",
	}
	policyDegraded = Metric{
		Name: "fairlead_policy_degraded",
		Kind: KindGauge, Unit: "1", Labels: []string{"policy", "name"}, Group: GroupCore,
		Help: "Whether a policy goes on without something that it needs, such as its server: 1 or 0; absent if it never did.",
	}
	policyInFlight = Metric{
		Name: "fairlead_policy_in_flight",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"policy", "name"}, Group: GroupCore,
		Help: "Number of calls in progress that a policy has admitted.",
	}
	policyInFlightLimit = Metric{
		Name: "fairlead_policy_in_flight_limit",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"policy", "name"}, Group: GroupCore,
		Help: "Number of calls that a policy admits at once now.",
	}
	policyQueued = Metric{
		Name: "fairlead_policy_queued",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"policy", "name"}, Group: GroupCore,
		Help: "Number of calls that wait for a policy to admit them.",
	}
	breakerState = Metric{
		Name: "fairlead_breaker_state",
		Kind: KindGauge, Unit: "{breaker}", Labels: []string{"name", "state"}, Group: GroupCore,
		Help: "Number of circuit breakers of a name in a state, which is closed, half-open or open: 1 in one of them and 0 in the others.",
	}
	breakerForced = Metric{
		Name: "fairlead_breaker_forced",
		Kind: KindGauge, Unit: "{breaker}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of circuit breakers of a name whose state an operator decided on: 1 or 0.",
	}
	breakerTransitionsTotal = Metric{
		Name: "fairlead_breaker_transitions_total",
		Kind: KindCounter, Unit: "{transition}", Labels: []string{"name", "to"}, Group: GroupCore,
		Help: "Number of times a circuit breaker changed its state, by the new one.",
	}
	attemptsTotal = Metric{
		Name: "fairlead_attempts_total",
		Kind: KindCounter, Unit: "{attempt}", Labels: []string{"policy", "name", "attempt", "outcome"}, Group: GroupCore,
		Help: "Number of attempts of calls that may be retried or hedged, the first of a call and further ones, by outcome.",
	}
	callsNotRetriedTotal = Metric{
		Name: "fairlead_calls_not_retried_total",
		Kind: KindCounter, Unit: "{call}", Labels: []string{"policy", "name", "reason"}, Group: GroupCore,
		Help: "Number of calls that failed and were not tried again, or not any more, by why.",
	}
	retryBudgetRemaining = Metric{
		Name: "fairlead_retry_budget_remaining",
		Kind: KindGauge, Unit: "{attempt}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of retries and hedges that the budget of a downstream service has left now.",
	}
	rateLimitTokens = Metric{
		Name: "fairlead_rate_limit_tokens",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of calls that a rate limit would admit at once now; below zero by the calls that wait.",
	}
	rateLimitBurst = Metric{
		Name: "fairlead_rate_limit_burst",
		Kind: KindGauge, Unit: "{call}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of calls that a rate limit admits at once after a pause.",
	}
	fallbacksTotal = Metric{
		Name: "fairlead_fallbacks_total",
		Kind: KindCounter, Unit: "{call}", Labels: []string{"name"}, Group: GroupCore,
		Help: "Number of failed calls for which a degraded reply stood in.",
	}
)

// The metrics as RPC conventions had them before call.duration, in milliseconds.
var (
	oldRPCServerDuration = Metric{
		Name: "rpc_server_duration_milliseconds", Semconv: "rpc.server.duration",
		Kind: KindHistogram, Unit: "ms", Labels: oldRPCLabels, Group: GroupOldRPC,
		Help: "Measures the duration of inbound RPC.",
	}
	oldRPCClientDuration = Metric{
		Name: "rpc_client_duration_milliseconds", Semconv: "rpc.client.duration",
		Kind: KindHistogram, Unit: "ms", Labels: oldRPCLabels, Group: GroupOldRPC,
		Help: "Measures the duration of outbound RPC.",
	}
)

// The metrics under the names go-grpc-middleware gives them.
var (
	grpcServerStarted = Metric{
		Name: "grpc_server_started_total",
		Kind: KindCounter, Unit: "{call}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPCs started on the server.",
	}
	grpcServerHandled = Metric{
		Name: "grpc_server_handled_total",
		Kind: KindCounter, Unit: "{call}", Labels: grpcCodeLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPCs completed on the server, regardless of success or failure.",
	}
	grpcServerReceived = Metric{
		Name: "grpc_server_msg_received_total",
		Kind: KindCounter, Unit: "{message}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPC stream messages received on the server.",
	}
	grpcServerSent = Metric{
		Name: "grpc_server_msg_sent_total",
		Kind: KindCounter, Unit: "{message}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of gRPC stream messages sent by the server.",
	}
	grpcServerHandling = Metric{
		Name: "grpc_server_handling_seconds",
		Kind: KindHistogram, Unit: "s", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
	}
	grpcClientStarted = Metric{
		Name: "grpc_client_started_total",
		Kind: KindCounter, Unit: "{call}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPCs started on the client.",
	}
	grpcClientHandled = Metric{
		Name: "grpc_client_handled_total",
		Kind: KindCounter, Unit: "{call}", Labels: grpcCodeLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPCs completed by the client, regardless of success or failure.",
	}
	grpcClientReceived = Metric{
		Name: "grpc_client_msg_received_total",
		Kind: KindCounter, Unit: "{message}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of RPC stream messages received by the client.",
	}
	grpcClientSent = Metric{
		Name: "grpc_client_msg_sent_total",
		Kind: KindCounter, Unit: "{message}", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Total number of gRPC stream messages sent by the client.",
	}
	grpcClientHandling = Metric{
		Name: "grpc_client_handling_seconds",
		Kind: KindHistogram, Unit: "s", Labels: grpcLabels, Group: GroupGRPCMiddleware,
		Help: "Histogram of response latency (seconds) of the gRPC until it is finished by the application.",
	}
)

var table = slices.Concat([]*Metric{
	&rpcServerCallDuration, &rpcServerActiveCalls, &rpcServerMessagesReceived, &rpcServerMessagesSent,
	&rpcClientCallDuration, &rpcClientAttemptDuration, &rpcClientActiveCalls, &rpcClientMessagesReceived, &rpcClientMessagesSent,
	&httpServerRequestDuration, &httpServerActiveRequests,
	&httpClientRequestDuration, &httpClientAttemptDuration, &httpClientActiveRequests,
	&panicsTotal, &droppedTotal, &labelOverflowTotal, &labelValues,
	&policyRejectionsTotal, &policyDegraded, &policyInFlight, &policyInFlightLimit, &policyQueued,
	&breakerState, &breakerForced, &breakerTransitionsTotal,
	&attemptsTotal, &callsNotRetriedTotal, &retryBudgetRemaining,
	&rateLimitTokens, &rateLimitBurst, &fallbacksTotal,
}, discoveryTable, []*Metric{
	&oldRPCServerDuration, &oldRPCClientDuration,
	&grpcServerStarted, &grpcServerHandled, &grpcServerReceived, &grpcServerSent, &grpcServerHandling,
	&grpcClientStarted, &grpcClientHandled, &grpcClientReceived, &grpcClientSent, &grpcClientHandling,
	&buildInfo, &goroutinesStarted, &goroutinesEnded, &goroutinesInFlight, &goroutinesLeaked, &goroutinesOldest,
})
