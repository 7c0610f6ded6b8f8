// SPDX-License-Identifier: Apache-2.0

package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNotFound says that there is no such program on this machine.
var ErrNotFound = errors.New("servers: not found")

// Find returns the path of a program: what the variable CONSUL_BIN or ETCD_BIN
// says, else what scripts/servers.sh built, else what is on the PATH. The error
// matches [ErrNotFound] and says what to do.
func Find(name string) (string, error) {
	variable := strings.ToUpper(name) + "_BIN"
	if path := os.Getenv(variable); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("%w: %s: %w", ErrNotFound, variable, err)
		}
		return path, nil
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if path, err := exec.LookPath(filepath.Join(cache, "fairlead", "servers", name)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: %s: run \"make %s\", which builds it once, or set %s to its path", ErrNotFound, name, name, variable)
}

// TB is what Need uses of a testing.TB: without the package, which programs
// would link.
type TB interface {
	Helper()
	Fatal(args ...any)
	Skip(args ...any)
}

// Need is Find for tests: without the program, the test is skipped by that name,
// and in CI (the variable CI is set) it fails.
func Need(t TB, name string) string {
	t.Helper()
	path, err := Find(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
