// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin || freebsd

package health

import (
	"io/fs"
	"syscall"
)

// freeSupported is why there is no freeBytes, if there is none.
var freeSupported error

// freeBytes returns how many bytes a file system has left for users.
func freeBytes(path string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	//nolint:unconvert,gosec // the types differ from system to system; both are positive, or the disk is full
	return uint64(max(st.Bavail, 0)) * uint64(st.Bsize), nil
}
