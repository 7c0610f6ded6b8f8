// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// made returns a graph of packages given as "path: imports". What they import of
// one another counts among their dependencies.
func made(lines ...string) graph {
	all := graph{}
	for _, line := range lines {
		path, imports, _ := strings.Cut(line, ": ")
		module := "./"
		for _, nested := range []string{"./telemetry", "./examples"} {
			if matches(nested+"/...", path) {
				module = nested
			}
		}
		p := &pkg{path: path, module: module, name: path[strings.LastIndex(path, "/")+1:], imports: strings.Fields(imports)}
		all[path] = p
	}
	g := graph{}
	for path, p := range all {
		if strings.HasPrefix(path, "./") {
			g[path] = p
		}
		var walk func(imports []string)
		walk = func(imports []string) {
			for _, imp := range imports {
				if slices.Contains(p.deps, imp) {
					continue
				}
				p.deps = append(p.deps, imp)
				if q := all[imp]; q != nil {
					walk(q.imports)
				}
			}
		}
		walk(p.imports)
	}
	return g
}

// expect fails unless exactly the wanted violation, or none, was found.
func expect(t *testing.T, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLayersCanFail breaks the direction of imports in the ways that are likely.
func TestLayersCanFail(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		g          graph
	}{
		{"as it should be", "", made(
			"./httpmw: net/http ./record", "./interceptors: google.golang.org/grpc ./record", "./record: ./ctxutil ./metrics ./internal/scope",
			"./ctxutil: go.opentelemetry.io/otel/trace", "./metrics: github.com/prometheus/client_golang/prometheus ./ctxutil", "./internal/scope: context")},
		{"transport under the engine", "./record imports google.golang.org/grpc/codes, and may not", made("./record: google.golang.org/grpc/codes")},
		{"adapter in adapter", "./interceptors imports ./httpmw, and may not", made("./interceptors: ./httpmw")},
		{"adapter in adapter, the other way", "./httpmw imports ./interceptors, and may not", made("./httpmw: ./interceptors")},
		{"upwards", "./ctxutil imports ./record, and may not", made("./ctxutil: ./record")},
		{"SDK", "./metrics imports go.opentelemetry.io/otel/sdk/trace, and may not", made("./metrics: go.opentelemetry.io/otel/sdk/trace")},
		{"second place for semconv", "./httpmw imports go.opentelemetry.io/otel/semconv/v1.43.0, and may not", made("./httpmw: go.opentelemetry.io/otel/semconv/v1.43.0")},
		{"policy with metrics", "./resilience/retry imports github.com/prometheus/client_golang/prometheus, and may not", made("./resilience/retry: github.com/prometheus/client_golang/prometheus")},
		{"linter that links", "./lint/passes/x imports ./ctxutil, and may not", made("./lint/passes/x: ./ctxutil golang.org/x/tools/go/analysis")},
		{"package nobody thought of", "./util has no layer", made("./util: strings")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, checkLayers(tc.g, layers), tc.want)
		})
	}
	// Through a package that itself may, what must not be linked comes in too.
	g := made("./httpmw: ./b", "./b: google.golang.org/grpc/codes")
	bridge := []layer{{"./httpmw", list("./b"), noGRPC, "why"}, {"./b", list("..."), nil, "why"}}
	expect(t, checkLayers(g, bridge), "./httpmw links google.golang.org/grpc/codes through ./b, and must not: why")
	if found := checkLayers(g, layers); !slices.ContainsFunc(found, func(v string) bool { return strings.HasPrefix(v, "./httpmw links google.golang.org/grpc/codes") }) {
		t.Errorf("the table lets httpmw link gRPC: %q", found)
	}
	contradiction := []layer{{"./a", list("example.com/b"), list("example.com/b"), ""}}
	expect(t, checkLayers(made("./a: example.com/b"), contradiction), "contradicts itself")
}

// TestLayersHaveReasons also finds rows that never match, because one above does.
func TestLayersHaveReasons(t *testing.T) {
	for i, l := range layers {
		if len(l.why) < 10 {
			t.Errorf("layer %s has no reason", l.pkg)
		}
		for _, above := range layers[:i] {
			if matches(above.pkg, strings.TrimSuffix(l.pkg, "/...")) && strings.HasSuffix(above.pkg, "/...") {
				t.Errorf("layer %s is hidden by %s above it", l.pkg, above.pkg)
			}
		}
	}
	for _, b := range slices.Concat(linkBudgets, graphBudgets) {
		if len(b.why) < 10 {
			t.Errorf("the budget of %s has no reason", b.what)
		}
	}
}

func TestTestOnlyCanFail(t *testing.T) {
	expect(t, checkTestOnly(made("./ctxutil: testing")), "./ctxutil imports testing: only packages for tests may")
	expect(t, checkTestOnly(made("./ctxutil: testing/slogtest")), "./ctxutil imports testing/slogtest")
	expect(t, checkTestOnly(made("./record: ./testkit/telemetrytest")), "./record imports ./testkit/telemetrytest, which is for tests")
	expect(t, checkTestOnly(made("./testkit/x: testing ./testkit/y", "./testkit/y: testing", "./examples/shop: ./testkit/x")), "")
}

func TestModuleBordersCanFail(t *testing.T) {
	inside := "./internal/scope: context"
	expect(t, checkModuleBorders(made("./telemetry/auto: ./internal/scope", inside)), "./telemetry/auto of module ./telemetry imports ./internal/scope of module ./")
	expect(t, checkModuleBorders(made("./ctxutil: ./internal/scope", inside, "./telemetry: ./ctxutil")), "")
}

func TestBudgetsCanFail(t *testing.T) {
	g := made("./ctxutil: ", "./internal/scope: ", "./examples/shop: ")
	g["./ctxutil"].modules = []string{"example.com/a"}
	g["./examples/shop"].modules = []string{"example.com/a"}
	expect(t, checkLinks(g, []budget{{"./ctxutil", 1, "one"}}), "")
	expect(t, checkLinks(g, []budget{{"./ctxutil", 0, "none"}}), "./ctxutil links 1 modules, and may link 0 (none): example.com/a")
	expect(t, checkLinks(g, nil), "./ctxutil has no budget")
	expect(t, checkGraph("./", 5, []budget{{"./", 5, "five"}}), "")
	expect(t, checkGraph("./", 6, []budget{{"./", 5, "five"}}), "has 6 modules in its graph, and may have 5")
	expect(t, checkGraph("./new", 6, nil), "module ./new has no budget")
	expect(t, checkGraph("./examples", 600, nil), "")
	expect(t, checkGoLine("./", "1.26.0"), "")
	expect(t, checkGoLine("./", "1.26.7"), "asks for go 1.26.7")
}

func TestTwinsCanFail(t *testing.T) {
	check := func(a, b []string, oneSided map[string]string) []string { return checkTwins("a", a, "b", b, oneSided) }
	both, more := []string{"record.go"}, []string{"record.go", "stream.go"}
	expect(t, check(both, both, nil), "")
	expect(t, check(more, both, nil), "a/stream.go has no twin in b")
	expect(t, check(both, more, nil), "b/stream.go has no twin in a")
	expect(t, check(more, both, map[string]string{"a/stream.go": "why"}), "")
	expect(t, check(more, more, map[string]string{"a/stream.go": "why"}), "a/stream.go has a twin in b, and is said to have none")
	expect(t, check(both, both, map[string]string{"b/gone.go": "why"}), "b/gone.go is said to have no twin, and is not there")
}

// TestSourcesCanFail gives each source rule a file to object to, and one not to.
func TestSourcesCanFail(t *testing.T) {
	const generated = "// Code generated by x. DO NOT EDIT.\n\n"
	for _, tc := range []struct{ name, pkg, file, text, want string }{
		{"init", "./metrics", "a.go", "package metrics\nfunc init() { println() }", "a.go has an init function"},
		{"init asked for", "./telemetry/auto", "doc.go", "// Package auto x.\npackage auto\nfunc init() {}", ""},
		{"init generated", "./metrics", "a.go", generated + "package metrics\nfunc init() {}", ""},
		{"method called init", "./metrics", "doc.go", "// Package metrics x.\npackage metrics\ntype t int\nfunc (t) init() {}", ""},
		{"default client", "./httpmw", "doc.go", "// Package httpmw x.\npackage httpmw\nimport \"net/http\"\nvar c = http.DefaultClient", "uses net/http.DefaultClient"},
		{"renamed", "./httpmw", "doc.go", "// Package httpmw x.\npackage httpmw\nimport h \"net/http\"\nfunc f() { h.Get(``) }", "uses net/http.Get"},
		{"dotted", "./httpmw", "doc.go", "// Package httpmw x.\npackage httpmw\nimport . \"log/slog\"", "imports log/slog: "},
		{"default logger set", "./logging", "doc.go", "// Package logging x.\npackage logging\nimport \"log/slog\"\nfunc f() { slog.SetDefault(nil) }", "uses log/slog.SetDefault"},
		{"default logger used", "./logging", "doc.go", "// Package logging x.\npackage logging\nimport \"log/slog\"\nfunc f() { slog.Default() }", ""},
		{"default registry", "./metrics", "doc.go", "// Package metrics x.\npackage metrics\nimport \"github.com/prometheus/client_golang/prometheus\"\nvar r = prometheus.DefaultRegisterer", "DefaultRegisterer: "},
		{"whole package", "./metrics", "doc.go", "// Package metrics x.\npackage metrics\nimport _ \"net/http/pprof\"", "imports net/http/pprof"},
		{"another package's name", "./metrics", "doc.go", "// Package metrics x.\npackage metrics\nimport http \"example.com/x\"\nvar c = http.DefaultClient", ""},
		{"program", "./examples/main", "main.go", "// Command x.\npackage main\nimport \"log/slog\"\nfunc main() { slog.SetDefault(nil) }", ""},
		{"no comment", "./metrics", "a.go", "package metrics", "./metrics has no package comment"},
		{"empty doc.go", "./metrics", "doc.go", "package metrics", "doc.go has no package comment"},
		{"comment elsewhere", "./metrics", "a.go", "// Package metrics x.\npackage metrics", "it goes into doc.go"},
		{"comment of an internal package", "./internal/scope", "a.go", "// Package scope x.\npackage scope", ""},
		{"comment about nothing", "./metrics", "doc.go", "// Some metrics.\npackage metrics", `must start with "Package metrics"`},
		{"generated package", "./examples/pb", "pb.go", generated + "package pb", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), tc.file, tc.text, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			p := &pkg{path: tc.pkg, name: f.Name.Name}
			s := source{p, tc.file, f}
			found := slices.Concat(checkInit(s), checkGlobals(s, globals))
			if len(found) == 0 {
				found = checkDocs(p, []source{s})
			}
			expect(t, found, tc.want)
		})
	}
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"./a", "./a", true}, {"./a", "./a/b", false}, {"./a/...", "./a", true}, {"./a/...", "./a/b", true},
		{"./a/...", "./ab", false}, {"...", "anything", true}, {"./", "./", true}, {"./", "./a", false},
	} {
		if got := matches(tc.pattern, tc.path); got != tc.want {
			t.Errorf("matches(%q, %q) = %t", tc.pattern, tc.path, got)
		}
	}
	for path, want := range map[string]bool{"net/http": true, "testing": true, "golang.org/x/net": false, "./a": false} {
		if got := isStandard(path); got != want {
			t.Errorf("isStandard(%q) = %t", path, got)
		}
	}
}
