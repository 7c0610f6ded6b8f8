// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"errors"
	"fmt"
)

// Disk returns a check that fails if the file system of path has less than minFreeBytes
// left for this process. On systems other than Linux, macOS and FreeBSD it fails with
// [errors.ErrUnsupported].
func Disk(path string, minFreeBytes int64) (Check, error) {
	var errs []error
	if path == "" {
		errs = append(errs, errors.New("path is empty and must be a file or a folder"))
	}
	if minFreeBytes <= 0 {
		errs = append(errs, fmt.Errorf("least free bytes is %d and must be positive", minFreeBytes))
	}
	if err := errors.Join(append(errs, freeSupported)...); err != nil {
		return nil, fmt.Errorf("health: Disk: %w", err)
	}
	return func(context.Context) error {
		free, err := freeBytes(path)
		if err != nil {
			return fmt.Errorf("health: %w", err)
		}
		if free < uint64(minFreeBytes) {
			return fmt.Errorf("health: %s has %d bytes left, and needs %d", path, free, minFreeBytes)
		}
		return nil
	}, nil
}
