//go:build !windows

package batch

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A disk that fills while a file comes is told as one that is full before it comes.
func TestDiskThatFills(t *testing.T) {
	t.Parallel()
	s := &Store{cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
	for cause, code := range map[error]bus.Code{syscall.ENOSPC: bus.CodeNoSpace, syscall.EIO: bus.CodeUnavailable} {
		if err := s.failed("write a file", &os.PathError{Op: "write", Path: "x", Err: cause}); !errors.Is(err, &bus.Error{Code: code}) {
			t.Errorf("%v: %+v, want the code %s", cause, err, code)
		}
	}
}
