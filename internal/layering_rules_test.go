// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"slices"
	"strings"
)

// checkLayers holds every package against the first layer that matches it.
func checkLayers(g graph, layers []layer) []string {
	var bad []string
	for _, p := range g.sorted() {
		i := slices.IndexFunc(layers, func(l layer) bool { return matches(l.pkg, p.path) })
		if i < 0 {
			bad = append(bad, p.path+" has no layer: say in the table what it may import, and why")
			continue
		}
		l := layers[i]
		for _, imp := range p.imports {
			if !isStandard(imp) && !matchesAny(l.may, imp) {
				bad = append(bad, p.path+" imports "+imp+", and may not: "+l.why)
			}
		}
		for _, dep := range p.deps {
			if matchesAny(l.never, dep) && !slices.Contains(p.imports, dep) {
				bad = append(bad, p.path+" links "+dep+through(g, p, dep)+", and must not: "+l.why)
			}
			if matchesAny(l.never, dep) && slices.Contains(p.imports, dep) && matchesAny(l.may, dep) {
				bad = append(bad, p.path+" may import "+dep+" and may never link it: its layer contradicts itself")
			}
		}
	}
	return bad
}

// through names the packages of ours through which a dependency comes in.
func through(g graph, p *pkg, dep string) string {
	for _, imp := range p.imports {
		if q := g[imp]; q != nil && slices.Contains(q.deps, dep) {
			return " through " + imp
		}
	}
	return ""
}

// testOnly are the packages that are there for tests.
var testOnly = []string{"./testkit/...", "./internal/drill", "./internal/servertest", "./telemetry/internal/otlptest"}

// testUsers are those who may import them in code that is no test.
var testUsers = append([]string{"./examples/...", "./benchmarks/...", "./cmd/..."}, testOnly...)

// checkTestOnly keeps testing, which registers flags and is linked into every
// binary once imported, and the packages that need it, out of production code.
func checkTestOnly(g graph) []string {
	var bad []string
	for _, p := range g.sorted() {
		for _, imp := range p.imports {
			if (imp == "testing" || strings.HasPrefix(imp, "testing/")) && !matchesAny(testOnly, p.path) {
				bad = append(bad, p.path+" imports "+imp+": only packages for tests may")
			}
			if matchesAny(testOnly, imp) && !matchesAny(testUsers, p.path) {
				bad = append(bad, p.path+" imports "+imp+", which is for tests")
			}
		}
	}
	return bad
}

// checkModuleBorders keeps a module from importing another's internal packages:
// it compiles, and pins the versions of both together.
func checkModuleBorders(g graph) []string {
	var bad []string
	for _, p := range g.sorted() {
		for _, imp := range p.imports {
			q := g[imp]
			if q == nil || q.module == p.module || !strings.Contains(imp+"/", "/internal/") {
				continue
			}
			if imp == "./internal/servers" && matches("./examples/...", p.path) {
				continue // neither is ever released
			}
			bad = append(bad, p.path+" of module "+p.module+" imports "+imp+" of module "+q.module+", which is internal: versions of the two could not differ")
		}
	}
	return bad
}
