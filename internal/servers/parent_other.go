// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package servers

import "os/exec"

// EndWithParent does nothing where a system has no such thing: a command ends when it
// is stopped.
func EndWithParent(*exec.Cmd) {}
