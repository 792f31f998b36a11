//go:build unix

package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/internal/filelock"
)

// A child has all files of its parent between fork and exec. What the parent lets go of then is free.
func TestCloseWhileAChildStarts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	one, two := open(), open()
	err := filelock.Lock(one)
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.FcntlInt(one.Fd(), unix.F_DUPFD_CLOEXEC, 0) // what fork gives it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child) //nolint:errcheck // nothing was written
	if err := filelock.Close(one); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(filelock.Lock(two), filelock.Close(two)); err != nil {
		t.Error(err)
	}
}
