// SPDX-License-Identifier: Apache-2.0

package telemetry

// Names of the variables that the code asks for; the others are in the table
// only, because the SDK and the exporters read them themselves.
const (
	envDisabled     = "OTEL_SDK_DISABLED"
	envService      = "OTEL_SERVICE_NAME"
	envResource     = "OTEL_RESOURCE_ATTRIBUTES"
	envLogLevel     = "OTEL_LOG_LEVEL"
	envPropagators  = "OTEL_PROPAGATORS"
	envSampler      = "OTEL_TRACES_SAMPLER"
	envSamplerArg   = "OTEL_TRACES_SAMPLER_ARG"
	envPrometheusIP = "OTEL_EXPORTER_PROMETHEUS_HOST"
	envPrometheus   = "OTEL_EXPORTER_PROMETHEUS_PORT"
)

// variable is one environment variable of the specification.
type variable struct {
	name string
	// preset is the value in effect if nobody sets one; "" if unset means off.
	preset string
	// check returns the rule that the value breaks, or "". It gets no empty value.
	check func(string) string
}

// variables is everything that is read, in the order in which Settings shows it.
// Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
// and https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
var variables = concat(
	[]variable{
		{envDisabled, "false", boolean},
		{envService, "", nil},
		{envResource, "", keyValues},
		{envLogLevel, "info", oneOf("none", "error", "warn", "info", "debug")},
		{envPropagators, "tracecontext,baggage", checkPropagators},
		{envSampler, samplerParentOn, oneOf(samplerNames...)},
		{envSamplerArg, "", nil}, // checked with the sampler

		{"OTEL_TRACES_EXPORTER", "otlp", listOf(exporterOTLP, exporterConsole, exporterNone)},
		{"OTEL_METRICS_EXPORTER", "otlp", listOf(exporterOTLP, exporterConsole, exporterPrometheus, exporterNone)},
		{"OTEL_LOGS_EXPORTER", "otlp", listOf(exporterOTLP, exporterConsole, exporterNone)},
		{envPrometheusIP, "localhost", nil},
		{envPrometheus, "9464", intBetween(0, 65535)},
	},
	otlpVariables("OTEL_EXPORTER_OTLP", protocolHTTP, "10000"),
	otlpVariables("OTEL_EXPORTER_OTLP_TRACES", "", ""),
	otlpVariables("OTEL_EXPORTER_OTLP_METRICS", "", ""),
	otlpVariables("OTEL_EXPORTER_OTLP_LOGS", "", ""),
	[]variable{
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", oneOf("cumulative", "delta", "lowmemory")},
		{
			"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram",
			oneOf("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
		},

		{"OTEL_BSP_SCHEDULE_DELAY", "5000", milliseconds},
		{"OTEL_BSP_EXPORT_TIMEOUT", "30000", milliseconds},
		{"OTEL_BSP_MAX_QUEUE_SIZE", "2048", intBetween(1, maxQueueSize)},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512", intBetween(1, maxQueueSize)},
		{"OTEL_BLRP_SCHEDULE_DELAY", "1000", milliseconds},
		{"OTEL_BLRP_EXPORT_TIMEOUT", "30000", milliseconds},
		{"OTEL_BLRP_MAX_QUEUE_SIZE", "2048", intBetween(1, maxQueueSize)},
		{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512", intBetween(1, maxQueueSize)},
		{"OTEL_METRIC_EXPORT_INTERVAL", "60000", milliseconds},
		{"OTEL_METRIC_EXPORT_TIMEOUT", "30000", milliseconds},
		{"OTEL_METRICS_EXEMPLAR_FILTER", "trace_based", oneOf("always_on", "always_off", "trace_based")},

		// Negative limits are no limits, in the SDK.
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "128", integer},
		{"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "", integer},
		{"OTEL_SPAN_EVENT_COUNT_LIMIT", "128", integer},
		{"OTEL_SPAN_LINK_COUNT_LIMIT", "128", integer},
		{"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "128", integer},
		{"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "128", integer},
		{"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "128", integer},
		{"OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "", integer},
	},
)

// maxQueueSize bounds the queues, which take their memory at the start.
const maxQueueSize = 1 << 20

// otlpVariables are the exporter's variables, for all signals or for one.
func otlpVariables(prefix, protocol, timeout string) []variable {
	return []variable{
		{prefix + "_PROTOCOL", protocol, oneOf(protocolHTTP, protocolGRPC)},
		{prefix + "_ENDPOINT", "", nil}, // checked with the protocol
		{prefix + "_INSECURE", "", boolean},
		{prefix + "_HEADERS", "", headers},
		{prefix + "_COMPRESSION", "", exactly("gzip", "none")},
		{prefix + "_TIMEOUT", timeout, milliseconds},
		{prefix + "_CERTIFICATE", "", certificate},
		{prefix + "_CLIENT_CERTIFICATE", "", nil}, // checked with the key
		{prefix + "_CLIENT_KEY", "", nil},
	}
}

func concat(parts ...[]variable) []variable {
	var all []variable
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
