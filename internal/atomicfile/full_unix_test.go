//go:build unix

package atomicfile_test

import (
	"os"
	"syscall"
	"testing"

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
