// SPDX-License-Identifier: Apache-2.0

// Package internal_test is the architecture as tests: who may import whom, what
// that may cost a user, and what library code never does. Each rule has its
// reason, and a fabricated case that shows that it can fail.
package internal_test

import "testing"

// Imports are written as patterns: "x" is one package, "x/..." a tree. Packages
// of this repository start with "./", and "./" alone is the front door.
var (
	// otelAPI is what may be known of OpenTelemetry: the API, never the SDK.
	otelAPI = []string{
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/baggage",
		"go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/propagation", "go.opentelemetry.io/otel/trace/...",
	}
	grpcAPI = []string{
		"google.golang.org/grpc/...", "google.golang.org/protobuf/...", "google.golang.org/genproto/googleapis/rpc/...",
	}

	noSDK        = []string{"go.opentelemetry.io/otel/sdk/...", "go.opentelemetry.io/otel/exporters/..."}
	noGRPC       = []string{"google.golang.org/grpc/..."}
	noPrometheus = []string{"github.com/prometheus/..."}
)

// layer is the rule for the packages that match its pattern.
type layer struct {
	pkg   string
	may   []string // imported directly, besides the standard library
	never []string // not even linked, through whatever else
	why   string
}

// layers are looked through from the top; the first that matches a package is
// its rule. Rules of packages yet to come wait for them.
var layers = []layer{
	{"./internal/scope", list("go.opentelemetry.io/otel/trace"), nil, "the one value in a context: every package pays for what it imports"},
	{"./internal/semconv", list("go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/semconv/..."), nil, "the only place that knows a version of the conventions, so that a new one is one change"},
	{"./internal/yamldoc", list("go.yaml.in/yaml/v3"), noGRPC, "what the two readers of configuration files have in common"},
	{"./internal/drill", list("..."), nil, "runs whole services, for tests"},
	{"./internal/registrytest/...", list("..."), nil, "tests only"},
	{"./internal/...", nil, noGRPC, "leaves: whoever needs them must not get anything else with them"},

	{"./ctxutil", list(otelAPI, "./internal/scope", "./internal/semconv"), list(noSDK, noGRPC, noPrometheus), "what a context carries is everybody's, so it must cost nobody a transport or a back end"},
	{"./logging", list("./ctxutil", "./internal/scope", "./internal/semconv", "go.opentelemetry.io/otel/trace"), list(noSDK, noGRPC, noPrometheus), "a program that only logs gets slog and the API's ids"},
	{"./metrics", list("./ctxutil", "./resilience", "./discovery", "./discovery/balancer", "./discovery/multi", "./health", "./internal/semconv", "github.com/prometheus/client_golang/...", "github.com/prometheus/client_model/..."), list(noSDK, noGRPC), "collectors know no transport: gRPC and HTTP share them"},

	{"./resilience/ratelimit/redislimit", list("./resilience", "./resilience/ratelimit", "github.com/redis/go-redis/v9/...", "golang.org/x/time/..."), list(noSDK, noGRPC, noPrometheus), "the shared limit: a policy that knows its Redis client, and nothing else of the outside"},
	{"./resilience/policylog", list("./resilience", "./ctxutil"), list(noSDK, noGRPC, noPrometheus), "lines about policies: apart from logging, which would link what policies are made of, and from policies, which write none"},
	{"./resilience/policyfile", list("./resilience/...", "./internal/yamldoc", "golang.org/x/time/...", "go.yaml.in/yaml/v3"), list(noSDK, noGRPC, noPrometheus), "the only place that reads YAML: whoever configures policies in code must not link it"},
	{"./resilience/...", list("./resilience/...", "./ctxutil", "./internal/observe", "github.com/sony/gobreaker/v2", "golang.org/x/time/..."), list(noSDK, noGRPC, noPrometheus), "policies are pure: no transport, so that one retry serves both, and no back end, so that they tell observers"},
	{"./health/grpchealth", list(grpcAPI, "./health"), noSDK, "the bridge to gRPC's health service, apart so that health is free of it"},
	{"./health", list("./ctxutil", "./internal/observe"), list(noSDK, noGRPC, noPrometheus), "a check is a function; who serves it is somebody else's matter"},

	{"./drain", list("./ctxutil"), list(noSDK, noGRPC, noPrometheus), "counting what is in flight is the same for gRPC and HTTP"},

	{"./record", list(otelAPI, "./ctxutil", "./logging", "./metrics", "./resilience", "./internal/scope", "./internal/semconv"), list(noSDK, noGRPC), "the engine under both adapters: it must not know one of them, nor make users of HTTP link gRPC"},
	{"./interceptors", list(otelAPI, grpcAPI, "./record", "./ctxutil", "./drain", "./logging", "./metrics", "./resilience/...", "./internal/scope", "./internal/semconv",
		"go.opentelemetry.io/otel/metric/noop", "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "github.com/grpc-ecosystem/go-grpc-middleware/v2/..."),
		noSDK, "adapters of gRPC: nothing of HTTP's, of discovery or of the SDK; users bring those"},
	{"./httpmw", list(otelAPI, "./record", "./ctxutil", "./drain", "./logging", "./metrics", "./resilience/...", "./internal/scope", "./internal/semconv", "./internal/respwriter"),
		list(noSDK, noGRPC), "adapters of net/http: whoever has no gRPC must not link it"},

	{"./discovery/grpcresolver", list(grpcAPI, "./discovery", "./ctxutil", "./internal/observe"), noSDK, "the bridge to gRPC, apart so that discovery is free of it"},
	{"./discovery/grpcbalancer", list(grpcAPI, "./discovery", "./discovery/balancer", "./discovery/grpcresolver"), noSDK, "as for the resolver: choosing itself is balancer's, which HTTP shares"},
	{"./discovery/consul/internal/...", list("..."), nil, "a registry for its tests"},
	{"./discovery/consul", list("./discovery", "./ctxutil", "./health", "github.com/hashicorp/consul/api/..."), noGRPC, "a back end knows its client and the interfaces"},
	{"./discovery/etcd/internal/...", list(grpcAPI, "go.etcd.io/etcd/..."), nil, "an etcd for tests, of its messages and gRPC's server"},
	{"./discovery/etcd", list(grpcAPI, "./discovery", "./ctxutil", "./health", "go.etcd.io/etcd/...", "go.uber.org/zap"), nil,
		"as for Consul; its client is gRPC's, whose connections and calls have to be told how to fail, and logs through zap, which has to be told not to"},
	{"./discovery/nacos", list("./discovery", "./ctxutil", "./health", "github.com/nacos-group/nacos-sdk-go/..."), nil, "as for etcd"},
	{"./discovery/discoveryfile", list("./discovery", "./internal/yamldoc", "go.yaml.in/yaml/v3"), list(noSDK, noGRPC, noPrometheus), "reads settings that are written in YAML: whoever takes the environment alone must not link it"},
	{"./discovery/...", list("./discovery/...", "./ctxutil", "./health", "./internal/observe"), list(noSDK, noGRPC, noPrometheus), "instances, registrars and watchers are the same for gRPC and HTTP"},

	{"./console", nil, noSDK, "a page of the standard library's: whoever shows something gives it a function"},
	{"./", list(otelAPI, grpcAPI, "./internal/semconv", "./ctxutil", "./drain", "./logging", "./metrics", "./record", "./interceptors", "./httpmw", "./resilience/...", "./health/...", "./discovery/...", "./console",
		"github.com/prometheus/client_golang/prometheus/..."), noSDK, "the front door wires what is in this module; the SDK comes in through an option"},

	{"./testkit/...", list("..."), nil, "tests may import what they test with"},
	{"./telemetry/internal/otlptest", list("..."), nil, "a collector for tests"},
	{"./telemetry/...", list("./ctxutil", "./logging", "./metrics", "./telemetry/...", "go.opentelemetry.io/...", "google.golang.org/grpc/...", "github.com/prometheus/client_golang/..."), nil,
		"the only home of the SDK and its exporters: everybody else knows the API"},
	{"./lint/...", list("./lint/...", "golang.org/x/tools/..."), nil, "analyzers name our packages by string: a linter that links what it checks cannot check another version of it"},
	{"./cmd/...", list("..."), nil, "a program may use whatever it needs"},
	{"./examples/...", list("..."), nil, "users import what they like"},
	{"./benchmarks/...", list("..."), nil, "peers are what is measured against"},
	{"./metrics/internal/goldentest/...", list("..."), nil, "holds our names against another library's, in a module of its own for that library's sake"},
	{"./interceptors/internal/middlewaretest/...", list("..."), nil, "holds our chain against another library's interceptors, in a module of its own for that library's sake"},
}

// list puts patterns, and lists of them, together.
func list(parts ...any) []string {
	var all []string
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			all = append(all, p)
		case []string:
			all = append(all, p...)
		}
	}
	return all
}

func TestLayers(t *testing.T) {
	report(t, checkLayers(load(t), layers))
}

func TestNobodyShipsTests(t *testing.T) {
	report(t, checkTestOnly(load(t)))
}

func TestModulesKeepToPublicPackages(t *testing.T) {
	report(t, checkModuleBorders(load(t)))
}

func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}
