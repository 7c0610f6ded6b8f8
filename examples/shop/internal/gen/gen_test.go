// SPDX-License-Identifier: Apache-2.0

// Package gen holds the code generated from ../../proto, in a package each. See
// the Makefile of the shop for the command.
package gen_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// protoc is the version the checked-in code was made with.
const protoc = "libprotoc 3.21.12"

// TestUpToDate generates the code again and compares.
func TestUpToDate(t *testing.T) {
	version, err := exec.CommandContext(t.Context(), "protoc", "--version").Output()
	if got := strings.TrimSpace(string(version)); err != nil || got != protoc {
		t.Skipf("needs %s, have %q", protoc, got)
	}
	fresh := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "proto", "OUT="+fresh)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make proto: %v\n%s", err, out)
	}
	if diff := cmp.Diff(generated(t, filepath.Join(fresh, "internal/gen")), generated(t, ".")); diff != "" {
		t.Errorf("make proto would change the code (-fresh +checked in):\n%s", diff)
	}
}

// generated returns the generated files below a folder by their path.
func generated(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pb.go") {
			return err
		}
		text, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(root, path)
		if err == nil {
			err = relErr
		}
		files[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no generated files in %s", root)
	}
	return files
}
