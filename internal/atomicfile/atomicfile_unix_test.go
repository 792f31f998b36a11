//go:build unix

package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

func TestNoRoom(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EACCES: false} {
		if got := atomicfile.NoRoom(&os.PathError{Op: "write", Path: "file", Err: err}); got != want {
			t.Errorf("%v: no room %v", err, got)
		}
	}
}

// Who reads a named pipe would wait for a writer, who never comes.
func TestReadTakesNoPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	check(t, syscall.Mkfifo(pipe, 0o600))
	read := make(chan error, 1)
	go func() {
		_, err := atomicfile.Read(pipe)
		read <- err
	}()
	var err error
	select {
	case err = <-read:
	case <-time.After(10 * time.Second):
		w, opened := os.OpenFile(pipe, os.O_WRONLY, 0) // lets who reads go on
		check(t, errors.Join(opened, w.Close()))
		t.Fatalf("it waits for who writes, and returned %v once there was one", <-read)
	}
	if !errors.Is(err, atomicfile.ErrNoFile) || !strings.Contains(err.Error(), pipe) || !strings.HasSuffix(err.Error(), "but a named pipe") {
		t.Errorf("error %v, want that it is no file, but a named pipe", err)
	}
	for path, kind := range map[string]string{dir: "a folder", os.DevNull: "a device"} {
		if _, err := atomicfile.Read(path); !errors.Is(err, atomicfile.ErrNoFile) || !strings.HasSuffix(err.Error(), "but "+kind) {
			t.Errorf("%s: error %v, want that it is %s", path, err, kind)
		}
	}
}
