// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"io/fs"
	"time"
)

// Reading is how much CPU time was used, since some fixed moment, out of how many
// cores.
type Reading struct {
	Used   time.Duration
	Cores  float64
	Source string
}

// The sources.
const (
	SourceCgroup2 = "cgroup v2"
	SourceCgroup1 = "cgroup v1"
	SourceProcess = "process"
	SourceMachine = "machine"
)

// Own reads what this process may use: its control group if that has a quota, or
// else itself.
func Own() (Reading, error) {
	if r, ok := cgroup(root()); ok {
		return r, nil
	}
	return process()
}

// Machine reads the CPU time of all processes.
func Machine() (Reading, error) { return machine(root()) }

func readText(fsys fs.FS, name string) (string, bool) {
	b, err := fs.ReadFile(fsys, name)
	return string(b), err == nil
}
