// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cputime

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
)

// nothing is a file system without files.
type nothing struct{}

func (nothing) Open(string) (fs.File, error) { return nil, fs.ErrNotExist }

func root() fs.FS { return nothing{} }

func machine(fs.FS) (Reading, error) {
	return Reading{}, fmt.Errorf("cputime: the machine's CPU time on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
