package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes f for this open file until Close, or until its process ends; or it returns ErrLocked. It locks a byte far
// behind the process id, which others may then still read.
func Lock(f *os.File) error {
	const behind = 1 << 30
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{Offset: behind})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// Close lets go of f, and closes it.
func Close(f *os.File) error { return f.Close() }
