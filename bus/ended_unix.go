//go:build !windows

package bus

import (
	"errors"
	"os"
	"syscall"
)

// ended reports whether a process has ended for certain; where the system does not tell, it has not.
func ended(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release() //nolint:errcheck // nothing was begun with it
	err = p.Signal(syscall.Signal(0))
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}
