package atomicfile

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

const (
	// openMost is how long a file is waited for that is open.
	openMost = 2 * time.Second
	// lookEvery is the longest pause between two tries.
	lookEvery = 10 * time.Millisecond
)

// Remove removes the file at path. Where it is open it waits for up to 2 s, for Windows does not remove it: who reads
// it, or looks for viruses in it, soon closes it. An error is one of package os.
func Remove(path string) error {
	return closed(func() error { return os.Remove(path) })
}

// steady does f again while the file that it opens cannot be, as another one takes its place.
func steady(f func() error) error { return closed(f) }

// rename waits as Remove does, and has the new name written before it returns.
func rename(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	err = closed(func() error {
		return windows.MoveFileEx(f, t, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir has nothing to do after such a rename.
func syncDir(string) error { return nil }

// closed does f again until it does not fail because a file is open, for up to openMost. Windows tells of that as of a
// missing right too.
func closed(f func() error) error {
	begun := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, lookEvery) {
		err := f()
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) || time.Since(begun) > openMost {
			return err
		}
		<-time.After(wait)
	}
}

// NoRoom reports whether err tells that the disk is full, or what its user may have of it.
func NoRoom(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) || errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}
