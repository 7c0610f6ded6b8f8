// SPDX-License-Identifier: Apache-2.0

package servers

import (
	"os/exec"
	"syscall"
)

// EndWithParent has a command, before it is started, end with this process, however
// that ends. On systems other than Linux it does nothing.
func EndWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
