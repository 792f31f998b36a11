package filelock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/filelock"
)

func TestLock(t *testing.T) {
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
	defer two.Close()
	if err := filelock.Lock(one); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Lock(two); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("what another has: %v", err)
	}
	if err := filelock.Close(one); err != nil {
		t.Fatal(err)
	}
	if err := filelock.Lock(two); err != nil {
		t.Errorf("once it is closed: %v", err)
	}
}
