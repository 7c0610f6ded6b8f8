// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package registries

import "os/exec"

// dieWithParent does nothing where a system has no such thing: a server is stopped
// by Close only.
func dieWithParent(*exec.Cmd) {}
