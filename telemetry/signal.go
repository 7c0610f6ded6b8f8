// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"net/url"
	"path"
	"strings"
)

// Values of the exporter and protocol variables.
const (
	exporterOTLP       = "otlp"
	exporterConsole    = "console"
	exporterNone       = "none"
	exporterPrometheus = "prometheus"

	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

const otlpPrefix = "OTEL_EXPORTER_OTLP"

// signal is one of traces, metrics and logs.
type signal struct {
	name  string // for people
	env   string // in variables
	queue string // prefix of the queue's variables; metrics have none
}

var (
	traces  = signal{"traces", "TRACES", "OTEL_BSP"}
	metrics = signal{"metrics", "METRICS", ""}
	logs    = signal{"logs", "LOGS", "OTEL_BLRP"}

	// signals is the order in which they are flushed and shut down: the last
	// metrics count the last spans, and the last log lines may report both.
	signals = []signal{traces, metrics, logs}
)

func (s signal) exporterVariable() string { return "OTEL_" + s.env + "_EXPORTER" }

func (s signal) otlpVariable(name string) string { return otlpPrefix + "_" + s.env + "_" + name }

// protocol returns the OTLP protocol of the signal.
func (e *environ) protocol(s signal) string {
	return strings.ToLower(e.get(s.otlpVariable("PROTOCOL"), otlpPrefix+"_PROTOCOL"))
}

// endpoint returns the URL the signal's exporter sends to, or "" if that is for
// the exporter to find out (a gRPC target such as unix:///run/otel.sock).
//
// The exporters read the variables as well, but not alike: without a scheme some
// take TLS and some do not, and of http://… with INSECURE=false some believe the
// one and some the other. The rules here are those of the specification.
func (e *environ) endpoint(s signal) string {
	protocol := e.protocol(s)
	raw := e.value[s.otlpVariable("ENDPOINT")]
	own := raw != ""
	if !own {
		raw = e.value[otlpPrefix+"_ENDPOINT"]
	}
	insecure := e.get(s.otlpVariable("INSECURE"), otlpPrefix+"_INSECURE")
	scheme := strings.ToLower(raw[:max(0, strings.Index(raw, ":"))])
	switch {
	case raw == "":
		raw = withScheme(defaultHost(protocol), insecure != "" && !strings.EqualFold(insecure, "true"))
	case scheme == "http", scheme == "https":
	case strings.Contains(raw, "://"), scheme == "unix", scheme == "dns":
		return ""
	default:
		raw = withScheme(raw, !strings.EqualFold(insecure, "true"))
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "" // has failed its check
	}
	u.User = nil
	switch {
	case protocol == protocolGRPC:
	case !own:
		u.Path = path.Join("/", u.Path, "v1", s.name)
	case u.Path == "":
		u.Path = "/"
	}
	return u.String()
}

func defaultHost(protocol string) string {
	if protocol == protocolGRPC {
		return "localhost:4317"
	}
	return "localhost:4318"
}

func withScheme(host string, secure bool) string {
	if secure {
		return "https://" + host
	}
	return "http://" + host
}

// reportEndpoint puts the endpoint in effect into the settings.
func (e *environ) reportEndpoint(s signal, endpoint string) {
	if endpoint == "" {
		return
	}
	source := SourceDefault
	for _, name := range []string{s.otlpVariable("ENDPOINT"), otlpPrefix + "_ENDPOINT"} {
		if e.source[name] == SourceEnvironment {
			source = SourceEnvironment
		}
	}
	e.set(s.otlpVariable("ENDPOINT"), endpoint, source)
}
