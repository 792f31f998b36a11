//go:build unix

package confine

import (
	"errors"
	"os/exec"
	"syscall"
)

// Groups tells whether EndGroup ends anything, and a Guard is of use.
const Groups = true

// ownGroup gives cmd a process group of its own, that ends as a whole with its context; on Linux cmd, and nothing that
// it has started, ends with this process, too.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	withThis(cmd.SysProcAttr)
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return nil
	}
}

// apart gives cmd a process group of its own, which does not end with this process.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// EndGroup ends what is left of the group of a process of Command or Plain that has ended.
func EndGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) } // nothing is left, most times
