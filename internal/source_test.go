// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one parsed file of a package.
type source struct {
	pkg  *pkg
	name string
	file *ast.File
}

// global is a name that library code must not use.
type global struct {
	path, name string // an empty name is all of the package
	why        string
	may        []string // packages that may all the same
}

const (
	registers = "it would register with a registry that others share: take a prometheus.Registerer"
	client    = "it has no timeout and is shared by the whole process: make one"
	mux       = "it is served by whoever serves it, on a port nobody asked for"
	process   = "the process belongs to the main function"
)

var globals = []global{
	{"github.com/prometheus/client_golang/prometheus", "DefaultRegisterer", registers, nil},
	{"github.com/prometheus/client_golang/prometheus", "DefaultGatherer", registers, []string{"./telemetry/auto"}},
	{"github.com/prometheus/client_golang/prometheus", "MustRegister", registers, nil},
	{"github.com/prometheus/client_golang/prometheus", "Register", registers, nil},
	{"github.com/prometheus/client_golang/prometheus", "Unregister", registers, nil},
	{"github.com/prometheus/client_golang/prometheus/promhttp", "Handler", registers, nil},
	{"github.com/prometheus/client_golang/prometheus/promauto", "", registers, nil},
	{"net/http", "DefaultClient", client, nil},
	{"net/http", "Get", client, nil},
	{"net/http", "Head", client, nil},
	{"net/http", "Post", client, nil},
	{"net/http", "PostForm", client, nil},
	{"net/http", "DefaultServeMux", mux, nil},
	{"net/http", "Handle", mux, nil},
	{"net/http", "HandleFunc", mux, nil},
	{"net/http", "ListenAndServe", "it has no timeouts: make an http.Server", nil},
	{"net/http/pprof", "", mux, nil},
	{"expvar", "", mux, nil},
	{"log/slog", "SetDefault", process, []string{"./telemetry/auto"}},
	{"log", "SetOutput", process, nil},
	{"log", "SetFlags", process, nil},
	{"go.opentelemetry.io/otel", "SetTracerProvider", process, []string{"./telemetry/..."}},
	{"go.opentelemetry.io/otel", "SetMeterProvider", process, []string{"./telemetry/..."}},
	{"go.opentelemetry.io/otel", "SetTextMapPropagator", process, []string{"./telemetry/..."}},
	{"go.opentelemetry.io/otel", "SetErrorHandler", process, []string{"./telemetry/..."}},
	{"go.opentelemetry.io/otel", "SetLogger", process, []string{"./telemetry/..."}},
	{"google.golang.org/grpc/resolver", "Register", "a scheme is global: use grpc.WithResolvers", nil},
	{"google.golang.org/grpc/balancer", "Register", "a balancer's name is global", []string{"./discovery/grpcbalancer"}},
	{"google.golang.org/grpc/encoding", "RegisterCodec", "a codec's name is global", nil},
	{"google.golang.org/grpc/encoding", "RegisterCodecV2", "a codec's name is global", nil},
	{"google.golang.org/grpc/grpclog", "SetLoggerV2", process, nil},
}

// checkGlobals finds the use of a global in library code. Programs may.
func checkGlobals(s source, globals []global) []string {
	if s.pkg.name == "main" {
		return nil
	}
	var bad []string
	names := importNames(s.file)
	for _, g := range globals {
		if matchesAny(g.may, s.pkg.path) {
			continue
		}
		local, imported := names[g.path]
		if !imported {
			continue
		}
		if g.name == "" || local == "." {
			bad = append(bad, s.name+" imports "+g.path+": "+g.why)
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != g.name {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				bad = append(bad, s.name+" uses "+g.path+"."+g.name+": "+g.why)
			}
			return true
		})
	}
	return bad
}

// importNames returns the name that each import has in a file.
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, imp := range f.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[path] = name
	}
	return names
}

// checkInit finds init functions: an import that does something cannot be
// undone, ordered or tested. telemetry/auto is asked for by its import alone,
// grpcbalancer's policy has to be in gRPC's table before anything runs, which is what
// gRPC has init functions for, and generated code is as it is.
func checkInit(s source) []string {
	if matchesAny([]string{"./telemetry/auto", "./discovery/grpcbalancer"}, s.pkg.path) || ast.IsGenerated(s.file) {
		return nil
	}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			return []string{s.name + " has an init function: only telemetry/auto and grpcbalancer may do something when they are imported"}
		}
	}
	return nil
}

// checkDocs finds packages without documentation. It begins as godoc expects, and
// that of a package users can import is in doc.go; generated packages have none.
func checkDocs(p *pkg, files []source) []string {
	public := p.name != "main" && !strings.Contains(p.path, "/internal/") && !matches("./examples/...", p.path)
	var texts []string
	for _, s := range files {
		if ast.IsGenerated(s.file) {
			return nil
		}
		isDoc := filepath.Base(s.name) == "doc.go"
		switch text := s.file.Doc.Text(); {
		case text == "" && isDoc:
			return []string{s.name + " has no package comment"}
		case text != "" && public && !isDoc:
			return []string{s.name + " has the package comment: it goes into doc.go"}
		case text != "":
			texts = append(texts, text)
		}
	}
	switch {
	case len(texts) == 0:
		return []string{p.path + " has no package comment: say in doc.go what it is, and what it is not"}
	case p.name != "main" && !strings.HasPrefix(texts[0], "Package "+p.name+" "):
		return []string{p.path + `: its comment must start with "Package ` + p.name + `", and starts with "` + new(doc.Package).Synopsis(texts[0]) + `"`}
	}
	return nil
}

func TestSources(t *testing.T) {
	for _, p := range load(t).sorted() {
		files := parse(t, p)
		for _, s := range files {
			report(t, checkInit(s))
			report(t, checkGlobals(s, globals))
		}
		report(t, checkDocs(p, files))
	}
}

func parse(t *testing.T, p *pkg) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var files []source
	for _, name := range slices.Sorted(slices.Values(p.files)) {
		path := filepath.Join(p.dir, name)
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		short, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, source{p, short, f})
	}
	return files
}
