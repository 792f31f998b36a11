//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Ctrl-C ends a daemon whose settings or token are to come out of a named pipe into which nobody writes.
func TestInterruptedAtAPipe(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--config=", "--join=@"} {
		pipe, dir := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "data")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		ended := make(chan struct{})
		writer := make(chan error, 1)
		go func() {
			w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // once it is opened
			interrupt()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				err = errors.New(flag + " goes on")
			}
			writer <- errors.Join(err, w.Close())
		}()
		var out, errs bytes.Buffer
		code := run(ctx, []string{"--data-dir", dir, flag + pipe}, streams{strings.NewReader(""), &out, &errs})
		close(ended)
		if _, err := os.Stat(dir); code != 130 || out.Len() > 0 || !strings.Contains(errs.String(), "interrupted") || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: exit code %d, %s%s, its data directory: %v", flag, code, out.String(), errs.String(), err)
		}
		if err := <-writer; err != nil {
			t.Error(err)
		}
	}
}

// To open a pipe that nobody reads waits for ever, and a device would be renamed when a log is rotated.
func TestLogToNoFile(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, os.DevNull, t.TempDir()} {
		code, out, errs := mycod(t, "--data-dir", filepath.Join(t.TempDir(), "data"), "--log-file", path)
		if code != 2 || out != "" || !strings.Contains(errs, "log to "+path+": it is no file\ntry: mycod --log-file FILE") {
			t.Errorf("%s: exit code %d, %s%s", path, code, out, errs)
		}
	}
}
