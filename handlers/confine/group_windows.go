package confine

import (
	"os/exec"
	"syscall"
)

// Groups tells whether a Guard is of use.
const Groups = true

// ownGroup keeps the Ctrl-C of this process's console from cmd.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// EndGroup does nothing: a Guard ends what is left.
func EndGroup(int) {}
