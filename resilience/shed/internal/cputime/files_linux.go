// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"io/fs"
	"os"
)

func root() fs.FS { return os.DirFS("/") }

func machine(fsys fs.FS) (Reading, error) {
	b, err := fs.ReadFile(fsys, "proc/stat")
	if err != nil {
		return Reading{}, err
	}
	return parseStat(string(b))
}
