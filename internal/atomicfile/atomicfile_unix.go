//go:build !windows

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// Remove removes the file at path, also where it is open. An error is one of package os.
func Remove(path string) error { return os.Remove(path) }

// steady is for Windows: here a file whose place another one takes is opened as ever.
func steady(f func() error) error { return f() }

func rename(from, to string) error { return os.Rename(from, to) }

// syncDir makes what was renamed in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// NoRoom reports whether err tells that the disk is full, or what its user may have of it.
func NoRoom(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
