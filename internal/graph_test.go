// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const rootModule = "github.com/fairlead-go/fairlead"

// pkg is one package of a module of this repository, without its tests.
type pkg struct {
	path    string   // "./ctxutil"; "./" is the root
	module  string   // "./telemetry"; "./" is the root
	name    string   // of the package clause
	dir     string   // where its files are
	files   []string // without tests
	imports []string // direct, in the same form; with the standard library
	deps    []string // all, in the same form
	modules []string // the foreign modules linked
}

// graph is all packages of all modules by path.
type graph map[string]*pkg

// listed is what go list says of a package.
type listed struct {
	ImportPath, Name, Dir  string
	Standard, DepOnly      bool
	GoFiles, Imports, Deps []string
	Module                 *struct{ Path string }
}

// load returns the packages of all modules. It is done once for all tests.
func load(t *testing.T) graph {
	t.Helper()
	g, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"./ctxutil", "./record", "./interceptors", "./httpmw"} {
		if g[p] == nil || len(g[p].deps) == 0 {
			t.Fatalf("the go command does not list %s with its dependencies: the rules would hold for nothing", p)
		}
	}
	return g
}

var loadOnce = sync.OnceValues(func() (graph, error) {
	dirs, err := moduleDirs("..")
	if err != nil {
		return nil, err
	}
	g := graph{}
	for _, dir := range dirs {
		all, err := goList(dir)
		if err != nil {
			return nil, err
		}
		g.add(relative(modulePath(dir)), all)
	}
	return g, nil
})

// moduleDirs returns the folders under root that have a go.mod. Walking them
// also tells the go command's test cache that a new folder matters.
func moduleDirs(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.Name() == "go.mod" && strings.Contains(filepath.ToSlash(path), "internal/servers/"):
			// builds a server that tests start, and is nothing of ours
		case d.Name() == "go.mod":
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// modulePath returns the path that a folder's go.mod gives the module.
func modulePath(dir string) string {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	return strings.TrimSpace(strings.TrimPrefix(first, "module"))
}

// goTool runs the go command in a module as its users see it: outside of the
// workspace, which picks one version of everything for all modules.
func goTool(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, errors.New("go " + strings.Join(args, " ") + " in " + dir + ": " + string(exit.Stderr))
	}
	return out, err
}

func goList(dir string) ([]listed, error) {
	// -e: a package that does not compile is the compiler's to report.
	out, err := goTool(dir, "list", "-e", "-deps", "-json=ImportPath,Name,Dir,Standard,DepOnly,GoFiles,Imports,Deps,Module", "./...")
	if err != nil {
		return nil, err
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
}

// add adds the packages of one module.
func (g graph) add(module string, all []listed) {
	linked := map[string]string{} // the module of each package
	for _, l := range all {
		if l.Module != nil {
			linked[relative(l.ImportPath)] = l.Module.Path
		}
	}
	for _, l := range all {
		if l.DepOnly || len(l.GoFiles) == 0 {
			continue
		}
		p := &pkg{
			path: relative(l.ImportPath), module: module, name: l.Name, dir: l.Dir, files: l.GoFiles,
			imports: relatives(l.Imports), deps: relatives(l.Deps),
		}
		for _, d := range p.deps {
			if m := linked[d]; m != "" && !strings.HasPrefix(relative(m), "./") {
				p.modules = append(p.modules, m)
			}
		}
		slices.Sort(p.modules)
		p.modules = slices.Compact(p.modules)
		g[p.path] = p
	}
}

// sorted returns the packages by path, so that failures come in one order.
func (g graph) sorted() []*pkg {
	var all []*pkg
	for _, p := range g {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return all
}

// relative writes a path of this repository with "./" in front.
func relative(path string) string {
	if path == rootModule {
		return "./"
	}
	if rest, ok := strings.CutPrefix(path, rootModule+"/"); ok {
		return "./" + rest
	}
	return path
}

func relatives(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = relative(p)
	}
	return out
}

// isStandard reports whether a path is of the standard library, whose first
// element has no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// matches reports whether a path is of a pattern.
func matches(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return path == tree || isTree && strings.HasPrefix(path, tree+"/")
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}
