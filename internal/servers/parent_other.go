// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package servers

import "os/exec"

// EndWithParent has a command, before it is started, end with this process, however
// that ends. On systems other than Linux it does nothing.
func EndWithParent(*exec.Cmd) {}
