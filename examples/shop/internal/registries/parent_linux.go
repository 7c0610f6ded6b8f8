// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the system kill a command when this process ends, however it
// does. It must be started on a thread that lasts as long.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
