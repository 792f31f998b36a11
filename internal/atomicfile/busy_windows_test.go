package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// busy reports whether a file cannot be read at this moment, because its name is about to be another's.
func busy(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// TestOpenFiles replaces and removes a file that somebody has open, who closes it soon or never.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"replace": func(path string) error { return atomicfile.Write(path, []byte("new")) },
		"remove":  atomicfile.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file")
			check(t, os.WriteFile(path, []byte("old"), 0o600))
			f, err := os.Open(path)
			check(t, err)
			defer f.Close()
			if err := change(path); !busy(err) {
				t.Fatalf("of a file that stays open: error %v, want that it is", err)
			}
			closed := make(chan struct{})
			time.AfterFunc(100*time.Millisecond, func() {
				defer close(closed)
				f.Close()
			})
			check(t, change(path))
			<-closed
			if got := names(t, filepath.Dir(path)); len(got) > 1 {
				t.Errorf("the folder holds %q", got)
			}
		})
	}
}

// The full disk of Windows is none of package syscall's.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		windows.ERROR_DISK_FULL: true, windows.ERROR_HANDLE_DISK_FULL: true, windows.ERROR_DISK_QUOTA_EXCEEDED: true,
		windows.ERROR_ACCESS_DENIED: false,
	} {
		if got := atomicfile.NoRoom(&os.PathError{Op: "write", Path: "file", Err: err}); got != want {
			t.Errorf("%v: no room %v", err, got)
		}
	}
}
