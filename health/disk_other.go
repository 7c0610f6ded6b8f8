// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin && !freebsd

package health

import (
	"errors"
	"fmt"
	"runtime"
)

var freeSupported = fmt.Errorf("free space on %s: %w", runtime.GOOS, errors.ErrUnsupported)

func freeBytes(string) (uint64, error) { return 0, freeSupported }
