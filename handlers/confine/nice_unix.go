//go:build unix && !linux

package confine

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Nice has the process pid of Plain step back as Policy.Nice does.
func Nice(pid, by int) error {
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, pid, min(now+by, MaxNice))
	}
	if err != nil {
		return fmt.Errorf("step back for others: %w", err)
	}
	return nil
}

// withThis does nothing: no such thing is known here, and a Guard is all there is.
func withThis(*syscall.SysProcAttr) {}
