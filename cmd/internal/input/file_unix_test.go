//go:build unix

package input_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// What waits for a pipe that nobody writes to, or that whoever opened it keeps open, ends with its context.
func TestReadFileOfAPipe(t *testing.T) {
	t.Parallel()
	left := pipe(t) // not the other one: who was left behind there might read what is written to it
	why := errors.New("Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if b, err := input.ReadFile(ctx, left, 100); !errors.Is(err, why) {
		t.Errorf("of a pipe that nobody opens: %q, error %v, want %v", b, err, why)
	}
	w, err := os.OpenFile(left, os.O_WRONLY, 0) // who was left behind opens it, and ends
	if err != nil {
		t.Fatal(err)
	}
	w.Close()

	path := pipe(t)
	written := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = w.WriteString("all of it")
			err = errors.Join(err, w.Close())
		}
		written <- err
	}()
	if b, err := input.ReadFile(t.Context(), path, 100); string(b) != "all of it" || err != nil {
		t.Errorf("read %q, error %v", b, err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	if _, err := input.ReadFile(t.Context(), filepath.Join(path, "none"), 100); err == nil {
		t.Error("what is not there has no error")
	}
}

// Who has opened a pipe, and writes nothing, is waited for no longer either.
func TestReadFileOfAPipeThatStaysOpen(t *testing.T) {
	t.Parallel()
	path := pipe(t)
	why := errors.New("Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := input.ReadFile(ctx, path, 100)
		ended <- err
	}()
	w, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
