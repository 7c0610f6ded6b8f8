// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/resilience/policyfile"
)

// notInFiles are the options that have no key, and why.
var notInFiles = map[string]string{
	"retry.WithBudget":        "a budget is a value of the program's; the budget section describes the service's",
	"retry.WithObserver":      "code",
	"hedge.WithBudget":        "as for retry",
	"hedge.WithObserver":      "code",
	"breaker.WithClassifier":  "code",
	"breaker.WithObserver":    "code",
	"breaker.WithService":     "of a Registry, which package policies does without",
	"breaker.WithMaxServices": "of a Registry; the file's max_services is that of package policies",
	"ratelimit.WithObserver":  "code",
	"ratelimit.WithMaxKeys":   "of a Keyed limiter, which is no policy of package policies: it needs a function for its keys",
	"bulkhead.WithObserver":   "code",
	"shed.WithPriorities":     "code",
	"shed.WithClassifier":     "code",
	"shed.WithObserver":       "code",
}

// Every option of a policy has a key, or a reason for having none.
func TestEveryOptionHasAKey(t *testing.T) {
	used := map[string]bool{}
	for _, file := range sources(t, ".") {
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := s.X.(*ast.Ident); ok {
					used[pkg.Name+"."+s.Sel.Name] = true
				}
			}
			return true
		})
	}
	options := map[string]bool{}
	for _, pkg := range []string{"retry", "hedge", "breaker", "ratelimit", "bulkhead", "shed"} {
		for _, file := range sources(t, filepath.Join("..", pkg)) {
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && isOption(f) {
					options[pkg+"."+f.Name.Name] = true
				}
			}
		}
	}
	if len(options) < 40 || !options["breaker.WithPatience"] {
		t.Fatalf("found %d options: the test does not test", len(options))
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if _, without := notInFiles[name]; used[name] == without {
			t.Errorf("%s: used by this package: %v, listed as having no key: %v", name, used[name], without)
		}
	}
	for name := range notInFiles {
		if !options[name] {
			t.Errorf("%s is listed, and is no option", name)
		}
	}
}

// isOption reports whether f is a constructor of an option: exported, With… or
// Without…, and returns an …Option.
func isOption(f *ast.FuncDecl) bool {
	if f.Recv != nil || !strings.HasPrefix(f.Name.Name, "With") || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	result, ok := f.Type.Results.List[0].Type.(*ast.Ident)
	return ok && strings.HasSuffix(result.Name, "Option")
}

func sources(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(paths), err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// The documented file has every key of every mapping: those that a mapping knows are in
// the error about one that it does not know.
func TestFullFileHasEveryKey(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	known, there := map[string][]string{}, map[string]map[string]bool{}
	var visit func(n *yaml.Node, path []string)
	visit = func(n *yaml.Node, path []string) {
		if n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			visit(n.Content[i+1], append(path, n.Content[i].Value))
		}
		if last := len(path) - 1; last >= 0 && (path[last] == "services" || path[last] == "methods") {
			return // names are the user's
		}
		kind := kindOf(path)
		if there[kind] == nil {
			there[kind] = map[string]bool{}
		}
		for i := 0; i < len(n.Content); i += 2 {
			there[kind][n.Content[i].Value] = true
		}
		known[kind] = keysKnownTo(t, &doc, n)
	}
	visit(doc.Content[0], nil)

	if len(known) < 15 {
		t.Errorf("%d kinds of mappings: the test does not test", len(known))
	}
	// A key that is shown as a comment, because it would make the rest meaningless.
	for _, key := range []string{"nested", "budget"} {
		if strings.Contains(string(data), "# "+key+": ") {
			there["retry"][key] = true
		}
	}
	for kind, keys := range known {
		slices.Sort(keys)
		if diff := cmp.Diff(keys, slices.Sorted(maps.Keys(there[kind]))); diff != "" {
			t.Errorf("%s (-known +in the file):\n%s", kind, diff)
		}
	}
}

// kindOf returns what mappings at a path have in common: the path without the names of
// services and methods, and the same for a service as for the defaults.
func kindOf(path []string) string {
	var kind []string
	for i, key := range path {
		switch {
		case i > 0 && path[i-1] == "methods":
			kind = []string{"method"}
		case i > 0 && path[i-1] == "services", key == "defaults":
			kind = []string{"service"}
		case key != "methods" && key != "services":
			if len(kind) > 0 && (kind[0] == "service" || kind[0] == "method") {
				kind = kind[1:]
			}
			kind = append(kind, key)
		}
	}
	return strings.Join(kind, ".")
}

// keysKnownTo returns the keys that the parser knows in n, a mapping of doc.
func keysKnownTo(t *testing.T, doc, n *yaml.Node) []string {
	t.Helper()
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "unheard_of_by_anybody"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "1"})
	defer func() { n.Content = n.Content[:len(n.Content)-2] }()
	data, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = policyfile.Parse(data)
	e, ok := errors.AsType[*policyfile.Error](err)
	if !ok {
		t.Fatalf("a key that nobody knows: %v", err)
	}
	_, keys, ok := strings.Cut(e.Rule, "unknown key: must be one of ")
	if !ok {
		t.Fatalf("a key that nobody knows: %v", err)
	}
	return strings.Split(keys, ", ")
}
