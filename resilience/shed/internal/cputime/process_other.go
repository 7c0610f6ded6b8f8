// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package cputime

import (
	"errors"
	"fmt"
	"runtime"
)

func process() (Reading, error) {
	return Reading{}, fmt.Errorf("cputime: the process's CPU time on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
