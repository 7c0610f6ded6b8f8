// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// budget is how many foreign modules something may bring with it. Limits are what
// is there, and no more: one that is to grow says here what for.
type budget struct {
	what string // a package, or a module
	max  int
	why  string
}

// linkBudgets limit the modules that end up in a user's binary, by package. The
// first that matches counts.
var linkBudgets = []budget{
	{"./ctxutil", 8, "the OpenTelemetry API, which is otel, trace, metric, log, auto/sdk and what they use: logr, stdr, xxhash"},
	{"./logging", 3, "otel and otel/trace with xxhash: a program that only logs gets no propagation, and so no logr"},
	{"./resilience/ratelimit/redislimit", 13, "ratelimit's, and go-redis with atomic and x/sys"},
	{"./resilience/policyfile", 11, "those of the policies, and YAML: a package of its own for its sake"},
	{"./resilience/...", 10, "ctxutil's, gobreaker, and x/time for ratelimit"},
	{"./drain", 8, "ctxutil's, for the cause of a request that is cut"},
	{"./health/grpchealth", 6, "gRPC, with x/net, x/text, x/sys, genproto and protobuf: apart, so that health is free of it"},
	{"./health", 0, "a probe needs nothing"},
	{"./discovery/consul", 17, "consul/api and what it links: helpers of HashiCorp, hclog with its colors, and coordinates of serf"},
	{"./discovery/etcd", 25, "etcd's client, which is gRPC, gateway's annotations and zap"},
	{"./discovery/grpcresolver", 3, "gRPC's resolver API, with protobuf and x/sys; no transport, which a client brings"},
	{"./discovery/grpcbalancer", 4, "gRPC's balancers and what they link: genproto, protobuf and x/sys; no transport, which a client brings"},
	{"./discovery/discoveryfile", 1, "YAML: a package of its own for its sake"},
	{"./discovery/...", 0, "instances, watchers, registrars and the back ends without a client of their own need the standard library; those with one have rows of their own"},
	{"./metrics", 17, "ctxutil's, client_golang with its seven (client_model, common, procfs, perks, goautoneg, x/sys, protobuf), and gobreaker, whose error is a word of resilience's vocabulary"},
	{"./record", 17, "those of metrics and resilience: the engine adds none"},
	{"./httpmw", 18, "the record's, and x/time for rate limits: a service that only speaks HTTP links no gRPC"},
	{"./interceptors", 23, "the record's, x/time for rate limits, gRPC with genproto, x/net and x/text, and otelgrpc, the second engine"},
	{"./", 23, "the front door brings what both adapters bring, and nothing of its own"},
	{"./testkit/discoverytest", 0, "who writes a back end gets the suite and nothing with it"},
	{"./testkit/telemetrytest", 18, "client_golang's and the SDK, which needs uuid; no gRPC"},
	{"./telemetry/sampler", 11, "the SDK alone: for users who set it up by themselves"},
	{"./telemetry/tail", 11, "as for the samplers"},
	{"./telemetry/...", 48, "the SDK, and an exporter for whatever OTEL_* may ask for: OTLP over gRPC and HTTP and the terminal, three signals, five propagators"},
}

// graphBudgets limit the modules in a user's go.sum and version selection, by
// module, whether they are linked or not.
var graphBudgets = []budget{
	{"./", 80, "otel, grpc and client_golang with what they name themselves: 79 before a line of ours"},
	{"./resilience/ratelimit/redislimit", 48, "ctxutil's, and go-redis with what its tests name: a module of its own for its release rhythm"},
	{"./discovery/consul", 119, "the root's, and consul/api with what its tests name: the reason why this is a module of its own"},
	{"./discovery/etcd", 86, "the root's, and etcd's client with zap and the gateway"},
	{"./telemetry", 135, "the exporters and propagators name each other and their backends: the reason why this is a module of its own"},
}

// unbudgeted modules are nobody's dependency.
var unbudgeted = map[string]string{
	"./examples":                             "users copy it, and do not import it",
	"./benchmarks":                           "it measures peers, and has to have them",
	"./metrics/internal/goldentest":          "it holds our names against another library's",
	"./interceptors/internal/middlewaretest": "it holds our chain against another library's",
	"./internal/registrytest":                "tests of all registries",
	"./lint":                                 "users install the binary",
	"./cmd/fairlead":                         "users install the binary",
}

// checkLinks compares the modules that packages link with their budgets. A public
// package without a budget has none to spend.
func checkLinks(g graph, budgets []budget) []string {
	var bad []string
	for _, p := range g.sorted() {
		if unbudgeted[p.module] != "" || p.name == "main" || strings.Contains(p.path, "/internal/") {
			continue
		}
		i := slices.IndexFunc(budgets, func(b budget) bool { return matches(b.what, p.path) })
		if i < 0 {
			bad = append(bad, fmt.Sprintf("%s has no budget, and links %d modules: %s", p.path, len(p.modules), strings.Join(p.modules, ", ")))
			continue
		}
		if b := budgets[i]; len(p.modules) > b.max {
			bad = append(bad, fmt.Sprintf("%s links %d modules, and may link %d (%s): %s", p.path, len(p.modules), b.max, b.why, strings.Join(p.modules, ", ")))
		}
	}
	return bad
}

// checkGraph compares the size of a module's graph with its budget.
func checkGraph(module string, size int, budgets []budget) []string {
	if unbudgeted[module] != "" {
		return nil
	}
	i := slices.IndexFunc(budgets, func(b budget) bool { return b.what == module })
	if i < 0 {
		return []string{fmt.Sprintf("module %s has no budget, and %d modules in its graph", module, size)}
	}
	if b := budgets[i]; size > b.max {
		return []string{fmt.Sprintf("module %s has %d modules in its graph, and may have %d: %s", module, size, b.max, b.why)}
	}
	return nil
}

func TestLinkBudgets(t *testing.T) {
	report(t, checkLinks(load(t), linkBudgets))
}

func TestGraphBudgets(t *testing.T) {
	dirs, err := moduleDirs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		module := relative(modulePath(dir))
		if unbudgeted[module] != "" {
			continue
		}
		out, err := goTool(dir, "list", "-m", "all")
		if err != nil {
			t.Error(err)
			continue
		}
		size := 0
		for line := range bytes.Lines(out) {
			if !bytes.HasPrefix(line, []byte(rootModule)) {
				size++
			}
		}
		report(t, checkGraph(module, size, graphBudgets))
	}
}

// TestGoLines holds the go line of every module at the minor version: a patch
// version would force it on everybody who depends on us.
func TestGoLines(t *testing.T) {
	dirs, err := moduleDirs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		out, err := goTool(dir, "list", "-m", "-f", "{{.GoVersion}}")
		if err != nil {
			t.Error(err)
			continue
		}
		report(t, checkGoLine(relative(modulePath(dir)), strings.TrimSpace(string(out))))
	}
}

func checkGoLine(module, version string) []string {
	if version != "1.26.0" {
		return []string{"module " + module + " asks for go " + version + ": must be 1.26.0, in every go.mod alike"}
	}
	return nil
}
