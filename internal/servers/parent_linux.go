// SPDX-License-Identifier: Apache-2.0

package servers

import (
	"os/exec"
	"syscall"
)

// EndWithParent has a command, before it is started, end with this process, however
// that ends, and not with what a terminal tells this one, such as Ctrl-C: who started
// it stops it in order. It ends with the thread that starts it, which has to last as
// long. On systems other than Linux it does nothing.
func EndWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
}
