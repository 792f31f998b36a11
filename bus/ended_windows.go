package bus

import (
	"errors"
	"syscall"
)

// ended reports whether a process has ended for certain; where the system does not tell, it has not.
func ended(pid int) bool {
	const invalidParameter = syscall.Errno(87) // what OpenProcess says where there is no such process
	p, err := syscall.OpenProcess(syscall.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return errors.Is(err, invalidParameter)
	}
	defer syscall.CloseHandle(p) //nolint:errcheck // nothing was changed by it
	s, err := syscall.WaitForSingleObject(p, 0)
	return err == nil && s == syscall.WAIT_OBJECT_0
}
