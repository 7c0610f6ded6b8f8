// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cputime

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// process reads the CPU time of this process, getrusage(2).
func process() (Reading, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return Reading{}, fmt.Errorf("cputime: getrusage: %w", err)
	}
	used := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return Reading{Used: used, Cores: float64(min(runtime.GOMAXPROCS(0), runtime.NumCPU())), Source: SourceProcess}, nil
}
